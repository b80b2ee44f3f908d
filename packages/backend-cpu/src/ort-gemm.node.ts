import type * as Ort from 'onnxruntime-node';
import { elements, type Gemm, type GemmCall, type Matrix } from './gemm.js';
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
 * onnxruntime copies neither its inputs nor its outputs then.
 */
export function ortGemm(ort: typeof Ort): Gemm {
  const sessions = new Map<string, Ort.InferenceSession>();

  async function create(key: string, call: GemmCall): Promise<Ort.InferenceSession> {
    const session = await ort.InferenceSession.create(gemmModel(call), SESSION);
    sessions.set(key, session);
    return session;
  }

  return async (lane, call) => {
    const { dtype, transposeA, transposeB, alpha, beta, hasC } = call;
    const key = `${dtype}${transposeA}${transposeB}${alpha}${beta}${hasC}`;
    const session = sessions.get(key) ?? (await create(key, call));
    const type = dtype === 'f32' ? 'float32' : 'float64';
    const value = (matrix: Matrix) => new ort.Tensor(type, elements(lane, matrix, dtype) as Float32Array, [matrix.rows, matrix.columns]);
    const feeds: Record<string, Ort.Tensor> = { A: value(call.a), B: value(call.b) };
    if (call.c) feeds['C'] = value(call.c);
    await session.run(feeds, { Y: value(call.y) });
  };
}
