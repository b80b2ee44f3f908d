/**
 * Conformance suites for authors of plug-ins.
 * @module
 */

export { type BackendFactory, type TestBackendOptions, testBackend } from './test-backend.js';
export type { Skip, TestFramework } from './test-framework.js';
