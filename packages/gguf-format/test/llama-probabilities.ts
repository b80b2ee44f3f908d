import type { Llama, Token } from 'node-llama-cpp';

/**
 * The largest distance of llama.cpp's log-probabilities from those of `logits [positions, vocabulary]`, after the tokens at `positions`. Everything in f32, so that
 * nothing but the order of sums differs.
 */
export async function farthestLogProbability(
  llama: Llama,
  modelPath: string,
  ids: Int32Array,
  { positions, logits }: { readonly positions: readonly number[]; readonly logits: Float32Array },
): Promise<number> {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    contextSize: 64,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
  });
  const asked = [...ids].map((id, i): Token | [Token, { generateNext: { probabilities: true } }] =>
    positions.includes(i) ? [id as Token, { generateNext: { probabilities: true } }] : (id as Token),
  );
  const results = await context.getSequence().controlledEvaluate(asked);
  const vocabulary = logits.length / positions.length;
  let most = 0;
  for (const [r, position] of positions.entries()) {
    const row = logits.subarray(r * vocabulary, (r + 1) * vocabulary);
    const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
    const probabilities = results[position]?.next.probabilities;
    for (const [id, logit] of row.entries())
      most = Math.max(most, Math.abs(Math.log(probabilities?.get(id as Token) ?? Number.NaN) - (logit - total)));
  }
  await context.dispose();
  await model.dispose();
  return most;
}
