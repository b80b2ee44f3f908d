import { type Tensor, tensor } from '@calibrant/core';

/** Rows of several matrices one below the other, at most `limit`, evenly from all, each divided by factors per column. */
export function sampleRows(parts: readonly Tensor[], limit: number, factors?: Float32Array): Tensor {
  const channels = parts[0]?.shape[1] ?? 0;
  const total = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  const count = Math.min(limit, total);
  const rows = tensor('f32', [count, channels]);
  let [at, part, first] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    const row = Math.floor((i * total) / count);
    while (row >= first + parts[part].shape[0]) first += parts[part++].shape[0];
    const values = (parts[part].data as Float32Array).subarray((row - first) * channels, (row - first + 1) * channels);
    for (let c = 0; c < channels; c++) rows.data[at++] = factors ? values[c] / factors[c] : values[c];
  }
  return rows;
}
