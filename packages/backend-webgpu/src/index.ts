/**
 * The WebGPU backend.
 * @module
 */

export { type AdapterInfo, adapterInfo } from './adapter.js';
export { createWebgpuBackend, type WebgpuBackend, type WebgpuBackendOptions } from './backend.js';
export { webgpuBackend } from './plugin.js';
