import { createCpuBackend } from '@calibrant/backend-cpu';
import { testBackend } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

describe('with onnxruntime', () =>
  testBackend(({ lanes }) => createCpuBackend({ threads: lanes, gemm: 'onnxruntime' }), { describe, it, expect }));

describe('with WebAssembly alone', () =>
  testBackend(({ lanes }) => createCpuBackend({ threads: lanes, gemm: 'wasm' }), { describe, it, expect }));
