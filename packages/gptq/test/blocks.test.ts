import { createCpuBackend } from '@calibrant/backend-cpu';
import { createReferenceBackend, type Tensor, tensor } from '@calibrant/core';
import { ACT_ORDERS, gatherColumns, gptq, solveBlock } from '@calibrant/gptq';
import { runWasm } from '@calibrant/plugin-kit';
import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decoded, quantizeBlocks, schemeOf } from './quantize-blocks.js';
import { correlatedHessian, normalWeight } from './quantize-layer.js';

const TYPES = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'IQ4_NL', 'IQ4_XS'];
const backend = createCpuBackend({ threads: 2 });
afterAll(() => backend.close());

/** `tr(Δ H Δᵀ) / (2 · out)` in f64: the mean squared error of the outputs. */
function outputError(weight: Tensor, hessian: Tensor, values: Float32Array): number {
  const [rows, n] = weight.shape;
  let sum = 0;
  for (let r = 0; r < rows; r++) {
    const delta = Float64Array.from({ length: n }, (_, c) => Number(weight.data[r * n + c]) - values[r * n + c]);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sum += delta[i] * Number(hessian.data[i * n + j]) * delta[j];
  }
  return sum / (2 * rows);
}

function encodedValues(type: string, weight: Tensor, importance?: Tensor): Float32Array {
  const scheme = schemeOf(type);
  const range = { start: 0, end: weight.shape[0] };
  const inputs = (importance ? { x: weight, importance } : { x: weight }) as { x: Tensor; importance: Tensor };
  const { blocks } = scheme.encode.reference(inputs, {}, range);
  return scheme.decode.reference({ blocks }, {}, range).x.data as Float32Array;
}

function diagonalOf(hessian: Tensor): Tensor {
  const n = hessian.shape[0];
  return tensor(
    'f32',
    [n],
    Float32Array.from({ length: n }, (_, c) => Number(hessian.data[c * (n + 1)])),
  );
}

const width = (type: string) => (schemeOf(type).blockSize === 256 ? 256 : 96);

describe.each(TYPES)('GPTQ in the blocks of %s', (type) => {
  const columns = width(type);
  const hessian = correlatedHessian(columns, 2 * columns, 5);

  it('is never above the type’s own encoders on the calibration data, and reports what is measured', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...ACT_ORDERS), fc.boolean(), fc.nat(), async (actOrder, staticGroups, seed) => {
        const weight = normalWeight(4, columns, seed);
        const { tensor: result, facts } = await quantizeBlocks(weight, hessian, schemeOf(type), { actOrder, staticGroups }, backend);
        const error = outputError(weight, hessian, decoded(result));
        expect(Math.abs(error / Number(facts.error) - 1)).toBeLessThan(1e-3);
        const plain = outputError(weight, hessian, encodedValues(type, weight));
        const weighted = outputError(weight, hessian, encodedValues(type, weight, diagonalOf(hessian)));
        expect(error).toBeLessThanOrEqual(Math.min(plain, weighted) * (1 + 1e-3));
        expect(Math.abs(plain / Number(facts.rtnError) - 1)).toBeLessThan(1e-3);
        expect(Math.abs(weighted / Number(facts.weightedError) - 1)).toBeLessThan(1e-3);
      }),
      { numRuns: 3, seed: 4 },
    );
  });

  it('is well below both on correlated inputs even without keeping better rows', async () => {
    const weight = normalWeight(16, columns, 1);
    const { facts } = await quantizeBlocks(weight, hessian, schemeOf(type), { keepBetterRows: false }, backend);
    expect(Number(facts.error)).toBeLessThan(0.6 * Math.min(Number(facts.rtnError), Number(facts.weightedError)));
  });

  it('is at most the plain encoder’s where inputs are independent', async () => {
    const weight = normalWeight(8, columns, 2);
    const identity = tensor('f32', [columns, columns]);
    for (let i = 0; i < columns; i++) identity.data[i * (columns + 1)] = 1;
    const { tensor: result } = await quantizeBlocks(weight, identity, schemeOf(type), {}, backend);
    const plain = outputError(weight, identity, encodedValues(type, weight));
    expect(outputError(weight, identity, decoded(result))).toBeLessThanOrEqual(plain * (1 + 1e-6));
  });
});

/** A random upper triangular factor, and steps of which some are zero or negative. */
function solveCase(rows: number, p: number, start: number, count: number, table: boolean, seed: number) {
  const random = (salt: number, size: number) => normalWeight(1, size, 100 * seed + salt).data as Float32Array;
  const u = tensor('f32', [p, p]);
  const noise = random(1, p * p);
  for (let i = 0; i < p; i++)
    for (let j = i; j < p; j++) u.data[i * p + j] = i === j ? 0.5 + Math.abs(noise[i * p + j]) : 0.1 * noise[i * p + j];
  const groups = tensor(
    'i32',
    [count],
    Int32Array.from({ length: count }, (_, i) => (i * 7) % 3),
  );
  const scales = tensor('f32', [rows, 3], random(2, rows * 3));
  for (let r = 0; r < rows; r += 4) scales.data[r * 3] = 0;
  const offsets = tensor('f32', [rows, 3], random(3, rows * 3));
  const levels = table ? tensor('f32', [5], Float32Array.of(-7, -2, 0.5, 3, 8)) : undefined;
  const inputs = { panel: normalWeight(rows, p, seed), u, groups, scales, offsets, levels: levels as Tensor };
  return { inputs, attributes: { start, firstLevel: table ? 0 : -3, levelCount: table ? 5 : 8 } };
}

describe('the kernels of block types', () => {
  it.each([
    [1, 8, 0, 8, false],
    [16, 32, 16, 16, true],
    [37, 100, 25, 50, false],
    [50, 256, 0, 256, false],
    [33, 256, 96, 32, true],
    [5, 31, 30, 1, false],
  ])('column loop of a block: %d × %d, from %d, %d columns, levels from a table %s', (rows, p, start, count, table) => {
    const { inputs, attributes } = solveCase(rows, p, start, count, table, rows + p);
    const reference = solveBlock.reference(inputs, attributes, { start: 0, end: rows });
    expect(runWasm(solveBlock, inputs, attributes)).toEqual(reference);
    expect(new Set(reference.codes.data as Uint8Array).size).toBeGreaterThan(rows * count > 8 ? 3 : 1);
  });

  it('gathering columns, with zeros for negative indices', () => {
    const x = normalWeight(19, 11, 3);
    const columns = tensor('i32', [5], Int32Array.of(10, -1, 0, 3, 3));
    const { y } = gatherColumns.reference({ x, columns }, {}, { start: 0, end: 19 });
    expect(runWasm(gatherColumns, { x, columns }, {}).y).toEqual(y);
    expect([...y.data.slice(0, 5)]).toEqual([x.data[10], 0, x.data[0], x.data[3], x.data[3]]);
  });

  it('refuse panels that are too wide', () => {
    const f32 = (...shape: number[]) => ({ dtype: 'f32', shape }) as const;
    const specs = { panel: f32(2, 257), u: f32(257, 257), groups: { dtype: 'i32', shape: [1] }, scales: f32(2, 1), offsets: f32(2, 1) };
    expect(() => solveBlock.infer(specs as never, { start: 0, firstLevel: 0, levelCount: 4 })).toThrow(/at most 256/);
  });
});

describe('what GPTQ says of block types', () => {
  const weight = normalWeight(4, 256, 1);
  const hessian = correlatedHessian(256, 300, 2);

  it('names a type whose codes it cannot choose', async () => {
    const { grid: _grid, ...bare } = schemeOf('Q4_K');
    await expect(quantizeBlocks(weight, hessian, bare)).rejects.toThrow(/codes of Q4_K for "layer.weight".*one by one/);
  });

  it('names a layer that blocks do not divide', async () => {
    await expect(quantizeBlocks(normalWeight(4, 128, 1), correlatedHessian(128, 200, 2), schemeOf('Q4_K'))).rejects.toThrow(
      /blocks of Q4_K, 256 inputs long, do not divide the 128 inputs of "layer.weight"/,
    );
  });

  it('counts values that are not finite', async () => {
    const broken = tensor('f32', weight.shape, (weight.data as Float32Array).slice());
    broken.data[5] = Number.NaN;
    await expect(quantizeBlocks(broken, hessian, schemeOf('Q4_K'))).rejects.toThrow(/1 values that are NaN or infinite/);
  });

  it('falls back to the plain encoder where no token reached the layer', async () => {
    const { tensor: result, facts, warnings } = await quantizeBlocks(weight, tensor('f32', [256, 256]), schemeOf('Q3_K'));
    expect(facts).toEqual({ fallback: 'rtn' });
    expect(warnings.join()).toMatch(/"layer.weight" to nearest/);
    expect(decoded(result)).toEqual(encodedValues('Q3_K', weight));
  });

  it('writes the same bytes with 1, 2 and 3 lanes, frees all buffers, and comes near the reference backend', async () => {
    const tall = normalWeight(70, 96, 9);
    const correlated = correlatedHessian(96, 200, 10);
    const results: Uint8Array[] = [];
    for (const threads of [1, 2, 3]) {
      const own = createCpuBackend({ threads });
      results.push((await quantizeBlocks(tall, correlated, schemeOf('Q4_0'), {}, own)).tensor.bytes);
      await own.sync();
      expect(own.allocatedBytes()).toBe(0);
      await own.close();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    const plain = await quantizeBlocks(tall, correlated, schemeOf('Q4_0'), {}, createReferenceBackend());
    const equal = results[0].reduce((count, byte, at) => count + (byte === plain.tensor.bytes[at] ? 1 : 0), 0);
    // The factor is computed in another order, so single codes next to a tie may differ, and then those that make up for them.
    expect(equal / results[0].length).toBeGreaterThan(0.9);
  });

  it('stops when it is cancelled', async () => {
    const own = createReferenceBackend();
    const [w, h] = [await own.upload(weight), await own.upload(hessian)];
    const plugin = gptq();
    const layer = { name: 'w', weight: w, scheme: schemeOf('Q4_K'), observations: { hessian: h, tokens: 1 } };
    const context = { backend: own, warn: () => {}, signal: AbortSignal.abort() };
    await expect(plugin.quantizeBlocks!(layer, plugin.options.parse({}), context)).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
