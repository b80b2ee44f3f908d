import {
  type Backend,
  createReferenceBackend,
  type PlannedTensor,
  parseAffineScheme,
  parseOptions,
  type TensorScheme,
  tensor,
} from '@calibrant/core';
import { formatInput, memoryCheckpoint, memoryFolder } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import { format, NAME, written } from './folder.js';
import { gridOf, smallWeights } from './golden.js';

const backend: Backend = createReferenceBackend();
const settingsOf = async (scheme: string, options?: object) =>
  (await written(backend, smallWeights(), scheme, [], options)).text('config.json');

describe('config.json', () => {
  it('names what transformers asks for, numbers that it wants as floats with a decimal point', async () => {
    const text = await settingsOf('nf4-dq');
    expect(JSON.parse(text).quantization_config).toEqual({
      _load_in_4bit: true,
      _load_in_8bit: false,
      bnb_4bit_compute_dtype: 'float16',
      bnb_4bit_quant_storage: 'uint8',
      bnb_4bit_quant_type: 'nf4',
      bnb_4bit_use_double_quant: true,
      llm_int8_enable_fp32_cpu_offload: false,
      llm_int8_has_fp16_weight: false,
      llm_int8_skip_modules: ['lm_head'],
      llm_int8_threshold: 6,
      load_in_4bit: true,
      load_in_8bit: false,
      quant_method: 'bitsandbytes',
    });
    expect(text).toMatch('"llm_int8_threshold": 6.0,');
    expect(await settingsOf('llm-int8', { threshold: 4.5 })).toMatch('"llm_int8_threshold": 4.5,');
    expect(JSON.parse(await settingsOf('llm-int8')).quantization_config).toMatchObject({ load_in_4bit: false, load_in_8bit: true });
  });
});

describe('what bitsandbytes cannot hold', () => {
  const opening = (schemes: Readonly<Record<string, [TensorScheme, readonly number[]]>>) => {
    const names = Object.keys(schemes);
    const source = new Map(names.map((name) => [name, tensor('f16', schemes[name][1])]));
    const plan = names.map((name): PlannedTensor => ({ name, source: name, scheme: schemes[name][0], shape: schemes[name][1] }));
    const options = parseOptions(format.options, {}, 'format');
    return format.open(formatInput(memoryCheckpoint(source), [NAME]), plan, memoryFolder(), options, { backend });
  };

  it('is refused with the reason and the remedy', async () => {
    await expect(opening({ [NAME]: [gridOf('nf4', 96), [64, 96]] })).rejects.toThrow(
      /rows of 96, which blocks of 64 \(nf4\) do not divide\. Blocks that do: nf4-g32/,
    );
    await expect(opening({ [NAME]: [gridOf('nf4', 50), [64, 50]] })).rejects.toThrow(/do not divide\. Keep it unquantized/);
    const other = parseAffineScheme('int8-channel-sym') as TensorScheme;
    await expect(
      opening({ [NAME]: [gridOf('nf4', 64), [64, 64]], 'model.layers.1.mlp.up_proj.weight': [other, [64, 64]] }),
    ).rejects.toThrow(/4 bits or 8 bits throughout/);
    await expect(opening({ 'model.norm.weight': [gridOf('nf4', 64), [64, 64]] })).rejects.toThrow(/quantizes the weights of linear layers/);
    expect(format.accepts({ ...gridOf('nf4', 64), type: 'Q4_0' })).toMatch(/not Q4_0/);
  });
});

describe('names of grids', () => {
  it('say type, block size and double quantization, and nothing else', () => {
    expect(['nf4', 'nf4-g64', 'nf4-g128', 'fp4-g32-dq', 'NF4-DQ'].map((name) => gridOf(name, 256).type)).toEqual([
      'nf4',
      'nf4',
      'nf4-g128',
      'fp4-g32-dq',
      'nf4-dq',
    ]);
    for (const name of ['nf4-g100', 'nf4-g128-asym', 'nf3', 'llm-int8-g64']) expect(() => gridOf(name, 256)).toThrow(/no scheme/);
  });

  it('give methods a grid of ascending levels whose codes they can choose: all that the encoder finds are kept', async () => {
    for (const name of ['nf4', 'fp4', 'llm-int8']) {
      const { grid, encode, decode } = gridOf(name, 256);
      const x = tensor(
        'f32',
        [4, 256],
        (smallWeights().data as Float32Array).map((_, i) => Math.sin(i * i)),
      );
      const [handle] = [await backend.upload(x)];
      const { blocks } = backend.run(encode, { x: handle }, {});
      const { scales, offsets } = backend.run(grid!.steps, { blocks }, {});
      const values = (await backend.download(backend.run(decode, { blocks }, {}).x)).data as Float32Array;
      const steps = (await backend.download(scales)).data as Float32Array;
      expect((await backend.download(offsets)).data.every((offset) => offset === 0)).toBe(true);
      expect([...grid!.levels].sort((a, b) => a - b)).toEqual([...grid!.levels]);
      const levels = Float32Array.from(grid!.levels);
      const codes = tensor(
        'u8',
        [4, 256],
        Uint8Array.from(values, (value, i) =>
          levels.findIndex((level) => Math.fround(level * steps[Math.floor(i / grid!.groupSize)]) === value),
        ),
      );
      const { recoded } = backend.run(grid!.replaceCodes, { blocks, codes: await backend.upload(codes) }, {});
      expect((await backend.download(backend.run(decode, { blocks: recoded }, {}).x)).data).toEqual(values);
    }
  });
});
