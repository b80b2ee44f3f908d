// Jest runs tests in a vm context with binary constructors of its own. onnxruntime and workers hand out those of the main
// realm, so share them, or `instanceof Float32Array` fails.
const { TestEnvironment } = require('jest-environment-node');

const SHARED = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'DataView',
  'Float32Array',
  'Float64Array',
  'Int8Array',
  'Int16Array',
  'Int32Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Uint16Array',
  'Uint32Array',
  'BigInt64Array',
  'BigUint64Array',
];

// When all is done, a worker of jest has half a second to end before it is killed with a warning about leaks. Tearing down the contexts of hundreds of test files
// takes longer on a busy machine, and nothing is left that they could do.
if (process.send && process.env.JEST_WORKER_ID) process.once('exit', (code) => process.reallyExit(code));

module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of SHARED) this.global[name] = globalThis[name];
  }
};
