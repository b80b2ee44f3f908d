/**
 * Conformance suites for authors of plug-ins.
 * @module
 */

export { formatInput, type MemoryFolder, memoryCheckpoint, memoryFolder, parseSafetensors, writtenCheckpoint } from './memory-model.js';
export { codedRows, randomLayer } from './random-layer.js';
export { runWasm } from './run-wasm.js';
export { type BackendFactory, type TestBackendOptions, testBackend } from './test-backend.js';
export { type FormatSuite, testFolderFormat } from './test-folder-format.js';
export type { Skip, TestFramework } from './test-framework.js';
export { type QuantizerSuite, testQuantizer } from './test-quantizer.js';
