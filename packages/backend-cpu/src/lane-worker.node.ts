import { workerData } from 'node:worker_threads';
import { serveLane } from '@calibrant/kernels';
import { cpuOperations } from './operations.js';
import { ortGemm } from './ort-gemm.node.js';
import { wasmGemm } from './wasm-gemm.js';

// The worker thread of one lane.
const { gemm } = workerData as { readonly gemm: 'onnxruntime' | 'wasm' };
serveLane(cpuOperations(gemm === 'wasm' ? wasmGemm : ortGemm(await loadOnnxruntime())));

async function loadOnnxruntime() {
  try {
    return await import('onnxruntime-node');
  } catch (cause) {
    throw new Error(`onnxruntime-node is installed but cannot be loaded (${(cause as Error).message}). Choose the option gemm: "wasm".`, {
      cause,
    });
  }
}
