import {
  type Backend,
  type BufferHandle,
  channelMagnitudes,
  type ScalingSite,
  type Tensor,
  type TransformBlock,
  tensor,
} from '@calibrant/core';

/** What calibration showed of a block's sites. */
export interface Observed {
  /** `max |x|` of each channel, by site. */
  readonly peaks: ReadonlyMap<ScalingSite, Float32Array>;
  /** Some tokens of each point, `[tokens, channels]`; empty unless tokens were asked for. */
  readonly samples: ReadonlyMap<string, Tensor>;
}

/** What is known of the block beforehand, or runs the calibration set through it once: channel maxima over all tokens, and about `sampleTokens` tokens of each point, evenly from all sequences. */
export async function observeSites(block: TransformBlock, backend: Backend, sampleTokens: number): Promise<Observed> {
  const known = block.peaks;
  if (known)
    return {
      peaks: new Map(block.sites.map((site) => [site, known.get(site.point) ?? new Float32Array(site.channels)])),
      samples: new Map(),
    };
  const magnitudes = new Map<string, Promise<Tensor>[]>();
  const rows = new Map<string, Promise<Tensor>[]>();
  const sampled = sampledSequences(block.sequences, sampleTokens);
  const valuePoints = new Set(block.sites.map(({ point }) => point));
  const samplePoints = new Set(sampleTokens > 0 ? block.sites.flatMap(({ linears }) => linears.map(({ point }) => point)) : []);
  const fetch = (handle: BufferHandle) => {
    const value = backend.download(handle).finally(() => backend.free(handle));
    value.catch(() => {}); // reported below
    return value;
  };
  const keep = (where: Map<string, Promise<Tensor>[]>, point: string, value: Promise<Tensor>) =>
    where.set(point, [...(where.get(point) ?? []), value]);
  await block.observe(new Set([...valuePoints, ...samplePoints]), (point, value, sequence) => {
    if (valuePoints.has(point)) {
      const { peaks, sums } = backend.run(channelMagnitudes, { x: value }, {});
      backend.free(sums);
      keep(magnitudes, point, fetch(peaks));
    }
    if (samplePoints.has(point) && sampled.has(sequence)) keep(rows, point, backend.download(value));
  });
  const peaks = new Map<ScalingSite, Float32Array>();
  for (const site of block.sites) peaks.set(site, maximum(await Promise.all(magnitudes.get(site.point) ?? []), site.channels));
  const samples = new Map<string, Tensor>();
  for (const [point, parts] of rows) samples.set(point, stack(await Promise.all(parts), sampleTokens));
  return { peaks, samples };
}

/** Sequences, evenly spaced, that hold about this many tokens together. */
function sampledSequences(lengths: readonly number[], tokens: number): Set<number> {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const wanted = tokens >= total ? lengths.length : Math.max(1, Math.ceil((lengths.length * tokens) / total));
  return new Set(tokens > 0 ? Array.from({ length: wanted }, (_, i) => Math.floor((i * lengths.length) / wanted)) : []);
}

function maximum(parts: readonly Tensor[], channels: number): Float32Array {
  const peaks = new Float32Array(channels);
  for (const { data } of parts) for (let c = 0; c < channels; c++) peaks[c] = Math.max(peaks[c], data[c] as number);
  return peaks;
}

/** Some rows one below the other, at most `limit`, evenly from all. */
function stack(parts: readonly Tensor[], limit: number): Tensor {
  const channels = parts[0].shape[1];
  const all = parts.flatMap(({ data, shape }) =>
    Array.from({ length: shape[0] }, (_, row) => (data as Float32Array).subarray(row * channels, (row + 1) * channels)),
  );
  const count = Math.min(limit, all.length);
  const whole = tensor('f32', [count, channels]);
  for (let i = 0; i < count; i++) (whole.data as Float32Array).set(all[Math.floor((i * all.length) / count)], i * channels);
  return whole;
}
