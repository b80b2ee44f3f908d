import { type Backend, type BufferHandle, channelMagnitudes, type Tensor, type TransformBlock } from '@calibrant/core';

/** What calibration showed of a block. */
export interface Observed {
  /** `mean |x|` of each channel, by point, over all tokens that were seen there. */
  readonly means: ReadonlyMap<string, Float64Array>;
  /** Values `[tokens, channels]` of some whole sequences, by point; in an expert its tokens. */
  readonly samples: ReadonlyMap<string, readonly Tensor[]>;
}

/** Runs the calibration set through a block once. Means count all tokens, samples about `sampleTokens` of them, in whole sequences spread evenly over the set. */
export async function observeBlock(block: TransformBlock, backend: Backend, sampleTokens: number): Promise<Observed> {
  const sitePoints = new Set(block.sites.map(({ point }) => point));
  const points = new Set([...sitePoints, ...block.linears.flatMap(({ point, scheme }) => (scheme ? [point] : []))]);
  const sampled = sampledSequences(block.sequences, sampleTokens);
  const magnitudes: { readonly point: string; readonly tokens: number; readonly sums: Promise<Tensor> }[] = [];
  const values = new Map<string, Promise<Tensor>[]>();
  const download = (handle: BufferHandle, free?: () => void): Promise<Tensor> => {
    const value = free ? backend.download(handle).finally(free) : backend.download(handle);
    value.catch(() => {}); // reported below
    return value;
  };
  await block.observe(points, (point, value, sequence) => {
    if (sitePoints.has(point)) {
      const { peaks, sums } = backend.run(channelMagnitudes, { x: value }, {});
      backend.free(peaks);
      magnitudes.push({ point, tokens: value.shape[0], sums: download(sums, () => backend.free(sums)) });
    }
    if (sampled.has(sequence)) values.set(point, [...(values.get(point) ?? []), download(value)]);
  });
  const means = new Map<string, Float64Array>();
  const counts = new Map<string, number>();
  for (const { point, tokens, sums } of magnitudes) {
    const { data } = await sums;
    const total = means.get(point) ?? new Float64Array(data.length);
    for (let c = 0; c < total.length; c++) total[c] += data[c] as number;
    means.set(point, total);
    counts.set(point, (counts.get(point) ?? 0) + tokens);
  }
  for (const [point, total] of means) for (let c = 0; c < total.length; c++) total[c] /= Math.max(1, counts.get(point) as number);
  const samples = new Map<string, readonly Tensor[]>();
  for (const [point, parts] of values) samples.set(point, await Promise.all(parts));
  return { means, samples };
}

function sampledSequences(lengths: readonly number[], tokens: number): Set<number> {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const wanted = Math.min(lengths.length, Math.max(1, Math.ceil((lengths.length * tokens) / Math.max(1, total))));
  return new Set(Array.from({ length: wanted }, (_, i) => Math.floor((i * lengths.length) / wanted)));
}
