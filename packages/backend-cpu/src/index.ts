/**
 * The CPU backend.
 * @module
 */

export { type CpuPluginOptions, cpuBackend } from './cpu-plugin.js';
export { type CpuBackendOptions, createCpuBackend, type GemmEngine } from './create-cpu-backend.node.js';
