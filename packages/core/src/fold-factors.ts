import type { Backend, BufferHandle } from './backend.js';
import { CalibrantError } from './errors.js';
import { decodeOne, encodeOne } from './float-codecs.js';
import { scaleMatrix } from './ops/scaling.js';
import type { ScalingSite, SitePredecessor } from './plugins/transform.js';
import { tensor } from './tensor.js';

/**
 * Scales the channels of a site and leaves the function as it is: with factors `s`, the predecessor divides channel j by `s[j]` and column j of every linear is multiplied by `s[j]`
 * (SmoothQuant, arXiv 2211.10438, equation 3; AWQ, arXiv 2306.00978, equation 2). A norm with an offset o gets `(w + o) / s − o`.
 *
 * A norm's weight is rounded to the type that it will be stored in, and what the rounding made of the factor goes into the columns: the function stays exact in
 * 16-bit checkpoints, too. Returns the factors that took effect; replaces and frees entries of `weights`.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for factors that are not finite and positive, or that differ between channels of one row.
 */
export async function foldFactors(
  backend: Backend,
  weights: Map<string, BufferHandle>,
  { name, predecessor, linears }: ScalingSite,
  factors: Float32Array,
): Promise<Float32Array> {
  const byRow = factorsByRow(name, predecessor, factors);
  if (predecessor.kind === 'norm') await divideNorm(backend, weights, predecessor, byRow);
  else await divideRows(backend, weights, predecessor, byRow);
  if (predecessor.bias !== undefined)
    await change(backend, weights, predecessor.bias, (bias) => {
      for (const [row, factor] of byRow) bias[row] /= factor;
    });
  const effective = Float32Array.from(predecessor.rows, (row) => byRow.get(row) as number);
  const columnFactors = await backend.upload(tensor('f32', [effective.length], effective));
  for (const { weight } of linears) {
    const w = weights.get(weight) as BufferHandle;
    weights.set(weight, backend.run(scaleMatrix, { w, columnFactors }, {}).y);
    backend.free(w);
  }
  backend.free(columnFactors);
  return effective;
}

function factorsByRow(site: string, { rows }: SitePredecessor, factors: Float32Array): Map<number, number> {
  const byRow = new Map<number, number>();
  for (const [channel, row] of rows.entries()) {
    const factor = factors[channel];
    if (!(factor > 0 && factor < Infinity) || (byRow.get(row) ?? factor) !== factor)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `The channels of ${site} need one finite, positive factor for each row that makes them, found ${factor} for channel ${channel}${byRow.has(row) ? ` and ${byRow.get(row)} for another of its row` : ''}.`,
      );
    byRow.set(row, factor);
  }
  return byRow;
}

async function divideNorm(
  backend: Backend,
  weights: Map<string, BufferHandle>,
  { weight, offset, storedAs = 'f32' }: SitePredecessor,
  byRow: Map<number, number>,
): Promise<void> {
  await change(backend, weights, weight, (values) => {
    for (const [row, factor] of byRow) {
      const before = values[row] + offset;
      values[row] = storedAs === 'f16' || storedAs === 'bf16' ? rounded(before / factor - offset, storedAs) : before / factor - offset;
      const took = before / (values[row] + offset);
      if (took > 0 && took < Infinity) byRow.set(row, Math.fround(took));
    }
  });
}

function rounded(value: number, dtype: 'f16' | 'bf16'): number {
  return decodeOne(dtype, encodeOne(dtype, value));
}

async function divideRows(
  backend: Backend,
  weights: Map<string, BufferHandle>,
  { weight }: SitePredecessor,
  byRow: ReadonlyMap<number, number>,
): Promise<void> {
  const w = weights.get(weight) as BufferHandle;
  const inverse = new Float32Array(w.shape[0]).fill(1);
  for (const [row, factor] of byRow) inverse[row] = 1 / factor;
  const rowFactors = await backend.upload(tensor('f32', [inverse.length], inverse));
  weights.set(weight, backend.run(scaleMatrix, { w, rowFactors }, {}).y);
  backend.free(w, rowFactors);
}

async function change(
  backend: Backend,
  weights: Map<string, BufferHandle>,
  name: string,
  by: (values: Float32Array) => void,
): Promise<void> {
  const before = weights.get(name) as BufferHandle;
  const value = await backend.download(before);
  const values = Float32Array.from(value.data as Float32Array);
  by(values);
  weights.set(name, await backend.upload(tensor('f32', value.shape, values)));
  backend.free(before);
}
