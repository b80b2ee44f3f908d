import { type Backend, CalibrantError, createReferenceBackend, type Tensor, tensor } from '@calibrant/core';
import { memoryCheckpoint } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import { format, MODULE, NAME, opened, written } from './folder.js';
import { smallWeights } from './golden.js';

const backend: Backend = createReferenceBackend();
const STATE = `${NAME}.quant_state.bitsandbytes__nf4`;

async function damaged(change: (tensors: Map<string, Tensor>) => void, scheme = 'nf4', settings?: object): Promise<CalibrantError> {
  const tensors = (await written(backend, smallWeights(), scheme)).tensors();
  change(tensors);
  return opened(backend, tensors, settings).then(
    () => {
      throw new Error('it was opened');
    },
    (error) => error,
  );
}

const text = (value: unknown) => {
  const bytes = new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
  return tensor('u8', [bytes.length], bytes);
};
const state = { quant_type: 'nf4', blocksize: 64, dtype: 'float16', shape: [4, 256] };

describe('what is read', () => {
  it.each(['nf4', 'nf4-dq', 'fp4-g128', 'llm-int8'])(
    '%s: rows alone are the rows of the whole, written in one piece or in several',
    async (scheme) => {
      const whole = (await written(backend, smallWeights(), scheme)).files;
      const pieces = (await written(backend, smallWeights(), scheme, [1, 3])).files;
      expect(pieces).toEqual(whole);
      const checkpoint = await opened(backend, (await written(backend, smallWeights(), scheme)).tensors());
      const { data } = await checkpoint.read(NAME);
      const some = await checkpoint.read(NAME, { start: 1, end: 3 });
      expect([some.shape, some.data]).toEqual([[2, 256], data.slice(256, 768)]);
      expect(checkpoint.tensors.get(NAME)).toMatchObject({ shape: [4, 256], storage: `bitsandbytes ${scheme}` });
      expect(backend.allocatedBytes()).toBe(0);
    },
  );

  it('blocks that run on over rows: 6 rows of 96 are 9 blocks of 64', async () => {
    const tensors = (
      await written(backend, tensor('f32', [9, 64], (smallWeights().data as Float32Array).slice(256, 832)), 'nf4')
    ).tensors();
    const inRows = await (await opened(backend, new Map(tensors))).read(NAME);
    tensors.set(STATE, text({ ...state, shape: [6, 96] }));
    const checkpoint = await opened(backend, tensors);
    expect(checkpoint.tensors.get(NAME)?.coded).toBeUndefined();
    expect((await checkpoint.read(NAME)).data).toEqual(inRows.data);
    expect((await checkpoint.read(NAME, { start: 1, end: 3 })).data).toEqual(inRows.data.slice(96, 288));
    expect(backend.allocatedBytes()).toBe(0);
  });

  it('a last block that is cut off, and folders whose settings name no method', async () => {
    const tensors = (await written(backend, smallWeights(), 'nf4')).tensors();
    const cut = (name: string, count: number) => {
      const { dtype, data, shape } = tensors.get(name) as Tensor;
      tensors.set(name, tensor(dtype, [count, ...shape.slice(1)], data.slice(0, count) as never));
    };
    const { data } = await (await opened(backend, new Map(tensors))).read(NAME);
    cut(NAME, 50);
    cut(`${NAME}.absmax`, 2);
    tensors.set(STATE, text({ ...state, shape: [10, 10] }));
    const checkpoint = await opened(backend, tensors, { load_in_4bit: true });
    expect((await checkpoint.read(NAME)).data).toEqual(data.slice(0, 100));
    expect((await checkpoint.read(NAME, { start: 7, end: 9 })).data).toEqual(data.slice(70, 90));
  });

  it('no folder of other formats', async () => {
    const plain = memoryCheckpoint(new Map([[NAME, tensor('f32', [4, 4])]]), { quantization_config: { quant_method: 'gptq' } });
    expect(await format.reader?.openFolder?.(plain, { backend })).toBeUndefined();
  });
});

describe('what is damaged or unknown', () => {
  const faults: [string, RegExp, (tensors: Map<string, Tensor>) => void, string?][] = [
    [
      'a truncated absmax',
      /absmax must be f32 of 16 elements for \[4, 256\] in blocks of 64, found f32 \[15\]/,
      (t) => t.set(`${NAME}.absmax`, tensor('f32', [15])),
    ],
    ['no absmax', /up_proj\.weight is not a 4-bit weight.*: absmax is missing/, (t) => t.delete(`${NAME}.absmax`)],
    ['no codes', /the tensor of its codes is missing/, (t) => t.delete(NAME)],
    ['too few codes', /weight must be u8 of 512 elements.*found u8 \[511, 1\]/, (t) => t.set(NAME, tensor('u8', [511, 1]))],
    ['no state', /expected one quant_state .*found 0/, (t) => t.delete(STATE)],
    ['a state that is no JSON', /quant_state\.bitsandbytes__nf4 is not a JSON text/, (t) => t.set(STATE, text('{"quant_type": '))],
    ['a state of one axis', /is not the state of a 4-bit matrix: shape/, (t) => t.set(STATE, text({ ...state, shape: [1024] }))],
    ['an unknown type', /names the type "af4"; nf4 and fp4 can be read/, (t) => t.set(STATE, text({ ...state, quant_type: 'af4' }))],
    ['an unknown block size', /names blocks of 48; 32, 64/, (t) => t.set(STATE, text({ ...state, blocksize: 48 }))],
    ['another type inside', /says fp4 inside/, (t) => t.set(STATE, text({ ...state, quant_type: 'fp4' }))],
    [
      'another codebook',
      /quant_map has 0\.5 for code 3, where nf4 has -0\.39/,
      (t) => ((t.get(`${NAME}.quant_map`) as Tensor).data[3] = 0.5),
    ],
    ['NaN in the codebook', /quant_map has NaN for code 3/, (t) => ((t.get(`${NAME}.quant_map`) as Tensor).data[3] = Number.NaN)],
    ['no second magnitudes', /nested_absmax is missing/, (t) => t.delete(`${NAME}.nested_absmax`), 'nf4-dq'],
    [
      'neither state nor magnitudes',
      /holds codes \(u8\), and its quant_state .* missing/,
      (t) => {
        for (const name of [...t.keys()]) if (name !== NAME) t.delete(name);
      },
    ],
    ['no row magnitudes', /SCB \(the rows' magnitudes\) is missing/, (t) => t.delete(`${MODULE}.SCB`), 'llm-int8'],
    [
      'too few row magnitudes',
      /SCB f32 \[out\], found i8 \[4, 256\] and f32 \[3\]/,
      (t) => t.set(`${MODULE}.SCB`, tensor('f32', [3])),
      'llm-int8',
    ],
    [
      'a layout for GPUs',
      /weight_format is not "row"/,
      (t) => t.set(`${MODULE}.weight_format`, tensor('u8', [], Uint8Array.of(2))),
      'llm-int8',
    ],
  ];

  it.each(faults.map(([what, message, change, scheme = 'nf4']) => ({ what, message, change, scheme })))(
    '$what is named',
    async ({ message, change, scheme }) => {
      const error = await damaged(change, scheme);
      expect(error).toBeInstanceOf(CalibrantError);
      expect(error.message).toMatch(message);
    },
  );

  it('codes packed into floats are refused', async () => {
    const error = await damaged(() => {}, 'nf4', { quant_method: 'bitsandbytes', bnb_4bit_quant_storage: 'bfloat16' });
    expect(error.message).toMatch(/packs its 4-bit codes as bfloat16/);
  });
});
