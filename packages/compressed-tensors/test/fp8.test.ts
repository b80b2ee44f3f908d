import { compressedTensors } from '@calibrant/compressed-tensors';
import { createReferenceBackend, decodeOne, type Tensor, tensor } from '@calibrant/core';
import { memoryCheckpoint } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const backend = createReferenceBackend();
const NAME = 'model.layers.0.mlp.up_proj';
const SHAPE = [5, 6] as const;
// Every pattern but the two NaNs.
const codes = Uint8Array.from({ length: 30 }, (_, i) => (i * 37) % 127);

const open = async (parts: Record<string, Tensor>, settings: object) => {
  const tensors = new Map(
    Object.entries({ weight: tensor('f8_e4m3', SHAPE, codes), ...parts }).map(([part, value]) => [`${NAME}.${part}`, value]),
  );
  const checkpoint = memoryCheckpoint(tensors, { quantization_config: { quant_method: 'fp8', fmt: 'e4m3', ...settings } });
  return compressedTensors().reader?.openFolder?.(checkpoint, { backend });
};

describe('folders with quant_method fp8', () => {
  it('have a multiplier per block, edge blocks cut off', async () => {
    const scales = Float32Array.of(0.5, 2, 8, 0.25, 4, 1);
    const settings = { activation_scheme: 'dynamic', weight_block_size: [4, 2] };
    const checkpoint = await open({ weight_scale_inv: tensor('f32', [2, 3], scales) }, settings);
    const expected = Array.from(codes, (code, i) => {
      const [row, column] = [Math.floor(i / 6), i % 6];
      return decodeOne('f8_e4m3', code) * scales[Math.floor(row / 4) * 3 + Math.floor(column / 2)];
    });
    expect([...((await checkpoint?.read(`${NAME}.weight`))?.data ?? [])]).toEqual(expected);
    const range = { start: 3, end: 5 };
    expect([...((await checkpoint?.read(`${NAME}.weight`, range))?.data ?? [])]).toEqual(expected.slice(18));
    expect([...(checkpoint?.tensors.keys() ?? [])]).toEqual([`${NAME}.weight`]);
    expect(checkpoint?.execution?.activations.get(`${NAME}.weight`)?.scheme).toMatchObject({
      granularity: 'group',
      groupSize: 2,
      dynamic: true,
    });
  });

  it('leave inputs as they are that their blocks do not divide', async () => {
    const settings = { activation_scheme: 'dynamic', weight_block_size: [4, 4] };
    const checkpoint = await open({ weight_scale_inv: tensor('f32', [2, 2], Float32Array.of(0.5, 2, 8, 0.25)) }, settings);
    expect(checkpoint?.execution?.activations.size ?? 0).toBe(0);
    const values = (await checkpoint?.read(`${NAME}.weight`))?.data ?? [];
    expect([values[3], values[4], values[24], values[29]]).toEqual(
      [
        [3, 0.5],
        [4, 2],
        [24, 8],
        [29, 0.25],
      ].map(([i, scale]) => decodeOne('f8_e4m3', codes[i]) * scale),
    );
  });

  it('or one for the tensor, with static inputs', async () => {
    const parts = { weight_scale: tensor('f32', [], Float32Array.of(0.5)), input_scale: tensor('f32', [], Float32Array.of(0.125)) };
    const checkpoint = await open(parts, { activation_scheme: 'static' });
    expect([...((await checkpoint?.read(`${NAME}.weight`))?.data ?? [])]).toEqual(
      Array.from(codes, (code) => decodeOne('f8_e4m3', code) * 0.5),
    );
    expect(checkpoint?.execution?.activations.get(`${NAME}.weight`)).toMatchObject({ scale: 0.125, scheme: { dynamic: false } });
  });

  it('are refused with the tensor when scales do not fit', async () => {
    const settings = { activation_scheme: 'dynamic', weight_block_size: [4, 2] };
    await expect(open({ weight_scale_inv: tensor('f32', [2, 2]) }, settings)).rejects.toThrow(
      /up_proj\.weight \[5, 6\].* 6 values \[2, 3\], found \[2, 2\]/,
    );
    await expect(open({}, settings)).rejects.toThrow(/weight_scale with 1 values \[1, 1\], found none/);
  });
});
