import {
  type AffineScheme,
  type AffineTensor,
  createReferenceBackend,
  type PlannedTensor,
  parseAffineScheme,
  parseOptions,
  tensor,
} from '@calibrant/core';
import { gptqFormat } from '@calibrant/gptq-format';
import { formatInput, memoryCheckpoint, memoryFolder, randomLayer } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const format = gptqFormat();
const backend = createReferenceBackend();
const MODULE = 'model.layers.0.self_attn.q_proj';

async function stored(layer: AffineTensor, options: Record<string, unknown> = {}) {
  const name = `${MODULE}.weight`;
  const input = formatInput(memoryCheckpoint(new Map([[name, tensor('f16', layer.shape)]]), { torch_dtype: 'float16' }), [name]);
  const plan: PlannedTensor[] = [{ name, source: name, shape: layer.shape, scheme: layer.scheme }];
  const folder = memoryFolder();
  const warnings: string[] = [];
  const onEvent = (event: object) => void ('warning' in event && warnings.push(String(event.warning)));
  const writer = await format.open(input, plan, folder, parseOptions(format.options, options, 'format'), { backend, onEvent });
  await writer.write(plan[0], { rowStart: 0, value: layer });
  await writer.finish();
  const tensors = folder.tensors();
  const part = (suffix: string) => tensors.get(`${MODULE}.${suffix}`)!;
  return { folder, tensors, part, warnings, settings: JSON.parse(folder.text('config.json')).quantization_config };
}

const words = ({ data }: { data: ArrayLike<number | bigint> }) =>
  Array.from(data, (word) => (Number(word) >>> 0).toString(16).padStart(8, '0'));

/** A layer of 32 equal columns, whose codes along the inputs are `(7 i + 3) mod 2^bits`. */
function known(bits: number): AffineTensor {
  const layer = randomLayer(parseAffineScheme(`int${bits}-channel-sym`) as AffineScheme, [32, 32]);
  return { ...layer, codes: layer.codes.map((_, i) => (7 * (i % 32) + 3) % 2 ** bits) };
}

describe('words of AutoGPTQ', () => {
  it.each([
    [2, '1b1b1b1b 1b1b1b1b', '55555555 55555555', 'aaaaaaaa aaaaaaaa'],
    [3, '53977053 70539770 97705397', 'db6db6db b6db6db6 6db6db6d', '24924924 49249249 92492492'],
    [4, '4d6f81a3 c5e7092b 4d6f81a3 c5e7092b', new Array(4).fill('77777777').join(' '), new Array(4).fill('88888888').join(' ')],
    [
      8,
      '18110a03 342d261f 5049423b 6c655e57 88817a73 a49d968f c0b9b2ab dcd5cec7',
      new Array(8).fill('7f7f7f7f').join(' '),
      new Array(8).fill('80808080').join(' '),
    ],
  ])('of %i bits: codes down a column, zero points along a row in v1 and v2', async (bits, codes, v1, v2) => {
    const first = await stored(known(bits));
    const columns = words(first.part('qweight')).map((_, i, all) => all[(i % bits) * 32 + Math.floor(i / bits)]);
    expect(columns).toEqual(new Array(32).fill(codes.split(' ')).flat());
    expect(words(first.part('qzeros'))).toEqual(v1.split(' '));
    expect(words((await stored(known(bits), { version: 'gptq_v2' })).part('qzeros'))).toEqual(v2.split(' '));
  });
});

describe('a written layer', () => {
  it('has the tensors of AutoGPTQ with their types and shapes', async () => {
    const layer = randomLayer(parseAffineScheme('int4-g32-sym') as AffineScheme, [64, 96]);
    const { tensors, part } = await stored(layer);
    expect(Object.fromEntries([...tensors].map(([name, { dtype, shape }]) => [name.slice(MODULE.length + 1), [dtype, shape]]))).toEqual({
      qweight: ['i32', [12, 64]],
      qzeros: ['i32', [3, 8]],
      scales: ['f16', [3, 64]],
      g_idx: ['i32', [96]],
    });
    expect([...part('g_idx').data]).toEqual(Array.from({ length: 96 }, (_, i) => Math.floor(i / 32)));
  });

  it('is v1 on symmetric grids and v2 on asymmetric ones, and says so in both config files', async () => {
    const layer = (name: string) => randomLayer(parseAffineScheme(name) as AffineScheme, [64, 96]);
    const { settings, folder } = await stored(layer('int4-g32-sym'));
    expect(settings).toMatchObject({
      quant_method: 'gptq',
      bits: 4,
      group_size: 32,
      sym: true,
      desc_act: false,
      lm_head: false,
      checkpoint_format: 'gptq',
      pack_dtype: 'int32',
    });
    expect(settings).not.toHaveProperty('dynamic');
    expect(JSON.parse(folder.text('quantize_config.json'))).toEqual(settings);
    expect((await stored(layer('int3-channel-asym'))).settings).toMatchObject({
      bits: 3,
      group_size: -1,
      sym: false,
      checkpoint_format: 'gptq_v2',
    });
  });

  it('keeps the order of groups that are not contiguous', async () => {
    const groupIndex = Int32Array.from({ length: 96 }, (_, i) => (i * 7) % 3);
    const layer = { ...randomLayer(parseAffineScheme('int4-g32-sym') as AffineScheme, [64, 96]), groupIndex };
    const { part, settings } = await stored(layer);
    expect([...part('g_idx').data]).toEqual([...groupIndex]);
    expect(settings.desc_act).toBe(true);
  });
});

describe('asymmetric grids in v1', () => {
  const layer = randomLayer(parseAffineScheme('int4-g32-asym') as AffineScheme, [64, 96]);

  it('are refused before anything is computed, since 0 − 1 has no code', async () => {
    await expect(stored(layer, { version: 'gptq' })).rejects.toThrow(/v1 stores zero points minus one.*gptq_v2|shiftZeroPoints/);
  });

  it('move by one step where the zero point is 0 when that was agreed to, with a warning that counts them', async () => {
    const { part, warnings, settings } = await stored(layer, { version: 'gptq', shiftZeroPoints: true });
    const zeros = Array.from(layer.zeroPoints.data, Number);
    const count = zeros.filter((zero) => zero === 0).length;
    expect(count).toBeGreaterThan(0);
    expect(warnings).toEqual([expect.stringMatching(new RegExp(`^${count} of 192 groups of .*q_proj.weight have the zero point 0`))]);
    expect(settings).toMatchObject({ sym: false, checkpoint_format: 'gptq' });
    // Group 0 of outputs 0 … 7 is the first word.
    const expected = Array.from({ length: 8 }, (_, o) => (Math.max(1, zeros[o * 3]) - 1) * 16 ** o).reduce((sum, x) => sum + x, 0);
    expect(Number(part('qzeros').data[0]) >>> 0).toBe(expected);
  });
});
