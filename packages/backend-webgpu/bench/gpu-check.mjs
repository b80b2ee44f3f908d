// One command for a machine with a GPU: the conformance suite, then the benchmark. Needs the built packages and no test runner.
import { createWebgpuBackend } from '@calibrant/backend-webgpu';
import { testBackend } from '@calibrant/plugin-kit';
import { createMiniFramework } from './mini-framework.mjs';

const framework = createMiniFramework();
testBackend(() => createWebgpuBackend(), framework);
const { passed, failed } = await framework.run();
console.log(`conformance: ${passed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;
await import('./gemm.mjs');
