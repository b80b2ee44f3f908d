import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, createReferenceBackend, type Tensor, tensor } from '@calibrant/core';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NAME, opened, written } from './folder.js';
import { contentOf, type GoldenCase, golden, largeWeights, sha256, smallWeights } from './golden.js';

const backends: Record<string, Backend> = {};
beforeAll(async () => {
  backends.CPU = await createCpuBackend({ threads: 2 });
  backends.reference = createReferenceBackend();
});
afterAll(() => backends.CPU.close());

const tensorName = (suffix: string) => (suffix === '.SCB' || suffix === '.weight' ? NAME.replace('.weight', suffix) : `${NAME}${suffix}`);
/** f16 holds no more. */
const clamped = (x: Tensor): Tensor => ({ ...x, data: (x.data as Float32Array).map((value) => Math.max(-60000, Math.min(60000, value))) });

describe('bytes equal those of bitsandbytes', () => {
  const cases = [
    ...golden.small.cases.map((each) => ({
      size: 'small',
      x: each.scheme === 'llm-int8' ? clamped(smallWeights()) : smallWeights(),
      each,
    })),
    ...golden.large.cases.map((each) => ({ size: 'large', x: largeWeights(), each })),
  ];

  it('has the weights that the script made', () => {
    expect([smallWeights(), largeWeights()].map(sha256)).toEqual([golden.small.x.sha256, golden.large.x.sha256]);
  });

  it.each(cases)('$each.scheme of $size weights: codes, magnitudes and codebooks, on the CPU and the reference', async ({ x, each }) => {
    for (const backend of Object.values(backends)) {
      const tensors = (await written(backend, x, each.scheme)).tensors();
      for (const [suffix, stored] of Object.entries(each.tensors)) {
        if (suffix.includes('quant_state') || suffix === '.nested_absmax') continue;
        const found = tensors.get(tensorName(suffix)) as Tensor;
        expect([suffix, found.dtype, found.shape, sha256(found)]).toEqual([suffix, stored.dtype, stored.shape, stored.sha256]);
      }
      if (each.offset === undefined) expect(tensors.has(`${NAME}.nested_absmax`)).toBe(false);
      else checkState(tensors, each);
    }
  });

  // PyTorch adds in an order of its own, which can change the last bits of the mean, and so of the second magnitudes.
  function checkState(tensors: Map<string, Tensor>, { offset = 0, tensors: expected, scheme }: GoldenCase) {
    const text = new TextDecoder().decode(tensors.get(`${NAME}.quant_state.bitsandbytes__${scheme.slice(0, 3)}`)?.data as Uint8Array);
    const state = JSON.parse(text);
    expect(Math.abs(state.nested_offset - offset)).toBeLessThanOrEqual(offset * 2 ** -22);
    const same = state.nested_offset === offset;
    if (same) expect(sha256(tensors.get(`${NAME}.nested_absmax`) as Tensor)).toBe(expected['.nested_absmax'].sha256);
    expect(state).toEqual({
      quant_type: scheme.slice(0, 3),
      blocksize: Number(/g(\d+)/.exec(scheme)?.[1] ?? 64),
      dtype: 'float16',
      shape: golden.large.x.shape,
      nested_blocksize: 256,
      nested_dtype: 'float32',
      nested_offset: state.nested_offset,
    });
  }

  it('has the state as Python writes it', async () => {
    const state = (await written(backends.CPU, smallWeights(), 'fp4-g128')).tensors().get(`${NAME}.quant_state.bitsandbytes__fp4`);
    const expected = new TextDecoder().decode(
      contentOf(golden.small.cases.find(({ scheme }) => scheme === 'fp4-g128')?.tensors['.quant_state.bitsandbytes__fp4'] as never)
        .data as Uint8Array,
    );
    expect(new TextDecoder().decode(state?.data as Uint8Array)).toBe(expected.replace('float32', 'float16'));
  });
});

describe('values equal those that bitsandbytes decodes', () => {
  const fourBit = golden.small.cases.filter(({ scheme }) => scheme !== 'llm-int8');

  it.each(fourBit)("$scheme from bitsandbytes' own bytes", async ({ tensors, values }) => {
    const stored = new Map(Object.entries(tensors).map(([suffix, each]) => [tensorName(suffix), contentOf(each)]));
    for (const backend of Object.values(backends)) {
      const checkpoint = await opened(backend, stored);
      expect(sha256(await checkpoint.read(NAME))).toBe(values.sha256);
      expect([...checkpoint.tensors.keys()]).toEqual([NAME]);
    }
  });

  it.each(golden.large.cases.filter(({ scheme, offset }) => scheme !== 'llm-int8' && offset === undefined))(
    '$scheme of large weights',
    async ({ scheme, values }) => {
      const checkpoint = await opened(backends.CPU, (await written(backends.CPU, largeWeights(), scheme)).tensors());
      expect(sha256(await checkpoint.read(NAME))).toBe(values.sha256);
    },
  );

  it.each(golden.large.cases.filter(({ offset }) => offset !== undefined))(
    '$scheme of large weights, with the offset of bitsandbytes',
    async ({ scheme, values, offset, tensors: expected }) => {
      const tensors = (await written(backends.CPU, largeWeights(), scheme)).tensors();
      if (sha256(tensors.get(`${NAME}.nested_absmax`) as Tensor) !== expected['.nested_absmax'].sha256) return;
      const name = `${NAME}.quant_state.bitsandbytes__${scheme.slice(0, 3)}`;
      const state = JSON.parse(new TextDecoder().decode(tensors.get(name)?.data as Uint8Array));
      const bytes = new TextEncoder().encode(JSON.stringify({ ...state, nested_offset: offset }));
      tensors.set(name, tensor('u8', [bytes.length], bytes));
      expect(sha256(await (await opened(backends.CPU, tensors)).read(NAME))).toBe(values.sha256);
    },
  );

  it('LLM.int8(): within two units in the last place, since bitsandbytes multiplies by the 127th part as a constant', async () => {
    const [{ tensors, values }] = golden.small.cases.filter(({ scheme }) => scheme === 'llm-int8');
    const stored = new Map(Object.entries(tensors).map(([suffix, each]) => [tensorName(suffix), contentOf(each)]));
    const read = (await (await opened(backends.CPU, stored)).read(NAME)).data as Float32Array;
    const codes = stored.get(NAME)?.data as Int8Array;
    const magnitudes = stored.get(NAME.replace('.weight', '.SCB'))?.data as Float32Array;
    expect(read.every((value, i) => Math.abs(value - (codes[i] * magnitudes[i >> 8]) / 127) <= Math.abs(value) * 2 ** -22)).toBe(true);
    expect(values.shape).toEqual([4, 256]);
  });
});
