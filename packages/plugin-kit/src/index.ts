/**
 * Conformance suites for authors of plug-ins.
 * @module
 */

export { runWasm } from './run-wasm.js';
export { type BackendFactory, type TestBackendOptions, testBackend } from './test-backend.js';
export type { Skip, TestFramework } from './test-framework.js';
export { type QuantizerSuite, testQuantizer } from './test-quantizer.js';
