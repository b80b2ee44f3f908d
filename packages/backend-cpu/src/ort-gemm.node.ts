import type * as Ort from 'onnxruntime-node';
import type { Gemm, GemmCall, Matrix } from './gemm.js';
import { gemmModel } from './gemm-model.js';

const SESSION: Ort.InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  enableMemPattern: false,
  graphOptimizationLevel: 'disabled',
  logSeverityLevel: 3,
};

/**
 * Matrix products by onnxruntime: sessions of a single `Gemm` node, one per form, whose operands are views of the lane's memory.
 * onnxruntime neither copies its inputs nor its outputs then.
 */
export function ortGemm(ort: typeof Ort): Gemm {
  const sessions = new Map<string, Promise<Ort.InferenceSession>>();

  async function session(call: GemmCall): Promise<Ort.InferenceSession> {
    const { dtype, transposeA, transposeB, alpha, beta, hasC } = call;
    const key = `${dtype}${transposeA}${transposeB}${alpha}${beta}${hasC}`;
    let found = sessions.get(key);
    if (!found) {
      found = ort.InferenceSession.create(gemmModel(call), SESSION);
      sessions.set(key, found);
    }
    return found;
  }

  return async (_, call) => {
    const type = call.dtype === 'f32' ? 'float32' : 'float64';
    const value = ({ data, rows, columns }: Matrix) => new ort.Tensor(type, data as Float32Array, [rows, columns]);
    const feeds: Record<string, Ort.Tensor> = { A: value(call.a), B: value(call.b) };
    if (call.c) feeds['C'] = value(call.c);
    await (await session(call)).run(feeds, { Y: value(call.y) });
  };
}
