import { workerData } from 'node:worker_threads';
import { serveLane } from '@calibrant/kernels';
import { denseOperations } from './operations.js';
import { ortGemm } from './ort-gemm.node.js';

// Top-level code of the worker thread of one lane.
const { gemm } = workerData as { readonly gemm: 'onnxruntime' | 'wasm' };
const engine = ortGemm(await import('onnxruntime-node'));
void gemm;
serveLane(denseOperations(engine));
