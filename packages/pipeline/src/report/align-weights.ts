import { weightedError } from '@calibrant/calibrators';
import { type Backend, type BufferHandle, foldFactors, type ScalingSite, scaleMatrix, tensor } from '@calibrant/core';
import type { TransformerBlock } from '@calibrant/transformer';

type Weights = ReadonlyMap<string, BufferHandle>;

/** What is left of the difference from the base must be less than this share of it: smaller factors than the rounding hides are left alone. */
const CLEARLY = 0.9;

/**
 * The weights of a quantized block in the channels of the base. SmoothQuant and AWQ scale channels without a change of the function; whoever compares weights with those of the base
 * must take that back first, or finds the scaling as error. Factors are read off the models, so that it works for folders of other tools too: a norm's from its weights, a linear
 * layer's as the least-squares factor of each row. They are taken back where the columns of the layers behind then clearly come closer to the base's.
 *
 * @returns `quantized` itself where nothing was scaled, else weights that the caller must release
 */
export async function alignWeights(
  backend: Backend,
  sites: readonly ScalingSite[],
  base: Weights,
  block: TransformerBlock,
  quantized: Map<string, BufferHandle>,
): Promise<Map<string, BufferHandle>> {
  let aligned = quantized;
  // In the order of computation: rows are compared when their columns are aligned.
  try {
    for (const site of sites) {
      const factors = await factorsOf(backend, site, base, aligned);
      if (!factors || factors.every((factor) => factor === 1) || !(await comesCloser(backend, site, base, aligned, factors))) continue;
      if (aligned === quantized) aligned = await block.load();
      await foldFactors(backend, aligned, site, factors);
    }
    return aligned;
  } catch (cause) {
    if (aligned !== quantized) block.release(aligned);
    throw cause;
  }
}

/** What the channels of a site were multiplied by; undefined where that is no positive number. */
async function factorsOf(
  backend: Backend,
  { predecessor: { kind, weight, offset, rows } }: ScalingSite,
  base: Weights,
  other: Weights,
): Promise<Float32Array | undefined> {
  const [from, to] = [base.get(weight), other.get(weight)];
  if (!from || !to) return undefined;
  const byRow = kind === 'norm' ? await normFactors(backend, from, to, offset) : await rowFactors(backend, from, to);
  const factors = Float32Array.from(rows, (row) => byRow[row]);
  return factors.every((factor) => factor > 0 && factor < Infinity) ? factors : undefined;
}

async function normFactors(backend: Backend, from: BufferHandle, to: BufferHandle, offset: number): Promise<Float32Array> {
  const [before, after] = await Promise.all([from, to].map(async (handle) => (await backend.download(handle)).data as Float32Array));
  // A channel that is off in both has no factor to find.
  return after.map((value, i) => (value === before[i] ? 1 : (value + offset) / (before[i] + offset)));
}

/** `⟨w, w′⟩ / ⟨w, w⟩` of each row. */
async function rowFactors(backend: Backend, from: BufferHandle, to: BufferHandle): Promise<Float32Array> {
  const { base, product, equal } = await rowProducts(backend, from, to);
  return Float32Array.from(product, (value, row) => (equal[row] ? 1 : value / base[row]));
}

/** Whether the rows of the layers behind point more nearly where the base's do. How long they are does not matter: it may be scaled for what comes after them. */
async function comesCloser(
  backend: Backend,
  { linears }: ScalingSite,
  base: Weights,
  other: Weights,
  factors: Float32Array,
): Promise<boolean> {
  const columnFactors = await backend.upload(tensor('f32', [factors.length], factors));
  let [asItIs, scaled] = [0, 0];
  try {
    for (const { weight } of linears) {
      const [from, to] = [base.get(weight), other.get(weight)];
      if (!from || !to) return false;
      const y = backend.run(scaleMatrix, { w: to, columnFactors }, {}).y;
      asItIs += await misalignment(backend, from, to);
      scaled += await misalignment(backend, from, y).finally(() => backend.free(y));
    }
  } finally {
    backend.free(columnFactors);
  }
  return scaled < CLEARLY * asItIs;
}

/** Σ sin² of the angles between the rows. */
async function misalignment(backend: Backend, from: BufferHandle, to: BufferHandle): Promise<number> {
  const { base, other, product, equal } = await rowProducts(backend, from, to);
  return product.reduce(
    (sum, value, row) => sum + (equal[row] || base[row] * other[row] === 0 ? 0 : 1 - value ** 2 / base[row] / other[row]),
    0,
  );
}

interface RowProducts {
  /** ‖w‖², ‖w′‖² and ⟨w, w′⟩. */
  readonly base: Float64Array;
  readonly other: Float64Array;
  readonly product: Float64Array;
  readonly equal: readonly boolean[];
}

/** By the squares of both rows and of their difference. */
async function rowProducts(backend: Backend, from: BufferHandle, to: BufferHandle): Promise<RowProducts> {
  const [there, back] = [backend.run(weightedError, { x: from, y: to }, {}), backend.run(weightedError, { x: to, y: from }, {})];
  try {
    const [errors, base, other] = await Promise.all(
      [there.errors, there.norms, back.norms].map(async (handle) => (await backend.download(handle)).data as Float64Array),
    );
    const product = errors.map((error, row) => (base[row] + other[row] - error) / 2);
    return { base, other, product, equal: Array.from(errors, (error) => error === 0) };
  } finally {
    backend.free(there.errors, there.norms, back.errors, back.norms);
  }
}
