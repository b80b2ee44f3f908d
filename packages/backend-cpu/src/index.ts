/**
 * The CPU backend.
 * @module
 */

export { type CpuBackendOptions, createCpuBackend } from './create-cpu-backend.node.js';
