import { compressedTensors } from '@calibrant/compressed-tensors';
import { createReferenceBackend, decodeOne, E2M1, type Tensor, tensor } from '@calibrant/core';
import { memoryCheckpoint } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const backend = createReferenceBackend();
const NAME = 'model.layers.0.mlp.up_proj';
const [OUT, IN] = [3, 64];

/** Every pair of 4-bit patterns is among them. */
const packed = Uint8Array.from({ length: (OUT * IN) / 2 }, (_, i) => (i * 89 + 7) % 256);
const valueAt = (i: number) => E2M1.values[i % 2 === 0 ? packed[i >> 1] & 15 : packed[i >> 1] >> 4];

const weights = {
  nvfp4: { num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16, symmetric: true, dynamic: false },
  mxfp4: { num_bits: 4, type: 'float', strategy: 'group', group_size: 32, symmetric: true, dynamic: false, scale_dtype: 'torch.uint8' },
};

async function open(name: keyof typeof weights, parts: Record<string, Tensor>, inputs?: object) {
  const tensors = new Map(
    Object.entries({ weight_packed: tensor('u8', [OUT, IN / 2], packed), ...parts }).map(([part, value]) => [`${NAME}.${part}`, value]),
  );
  const checkpoint = memoryCheckpoint(tensors, {
    quantization_config: {
      quant_method: 'compressed-tensors',
      format: `${name}-pack-quantized`,
      config_groups: { group_0: { targets: ['Linear'], weights: weights[name], ...(inputs ? { input_activations: inputs } : {}) } },
    },
  });
  const warnings: string[] = [];
  const opened = await compressedTensors().reader?.openFolder?.(checkpoint, {
    backend,
    onEvent: (event) => 'warning' in event && warnings.push(event.warning),
  });
  return { opened: opened!, warnings };
}

describe('folders of 4-bit floats', () => {
  const e4m3 = Uint8Array.from({ length: (OUT * IN) / 16 }, (_, i) => 40 + 5 * i);
  const nvfp4 = {
    weight_scale: tensor('f8_e4m3', [OUT, IN / 16], e4m3),
    weight_global_scale: tensor('f32', [1], Float32Array.of(1344.5)),
  };

  it('NVFP4: groups of 16 with an E4M3 scale, divided by the scale of the tensor', async () => {
    const { opened, warnings } = await open('nvfp4', nvfp4);
    const expected = Array.from({ length: OUT * IN }, (_, i) =>
      Math.fround(Math.fround(decodeOne('f8_e4m3', e4m3[Math.floor(i / 16)]) / 1344.5) * valueAt(i)),
    );
    expect([...opened.tensors.keys()]).toEqual([`${NAME}.weight`]);
    expect(opened.tensors.get(`${NAME}.weight`)).toMatchObject({ dtype: 'f32', shape: [OUT, IN], storage: 'nvfp4-pack-quantized' });
    expect([...(await opened.read(`${NAME}.weight`)).data]).toEqual(expected);
    expect([...(await opened.read(`${NAME}.weight`, { start: 1, end: 2 })).data]).toEqual(expected.slice(IN, 2 * IN));
    expect(warnings).toEqual([]);
  });

  it('MXFP4: groups of 32 with a power of two', async () => {
    const exponents = Uint8Array.of(127, 120, 130, 127, 1, 125);
    const { opened } = await open('mxfp4', { weight_scale: tensor('u8', [OUT, IN / 32], exponents) });
    const expected = Array.from({ length: OUT * IN }, (_, i) => valueAt(i) * 2 ** (exponents[Math.floor(i / 32)] - 127));
    expect([...(await opened.read(`${NAME}.weight`)).data]).toEqual(expected);
  });

  it('inputs in 4 bits stay in floating point, with a word about it; their scales are no weights', async () => {
    const inputs = { num_bits: 4, type: 'float', strategy: 'tensor_group', group_size: 16, dynamic: 'local' };
    const { opened, warnings } = await open('nvfp4', { ...nvfp4, input_global_scale: tensor('f32', [1], Float32Array.of(3)) }, inputs);
    expect([...opened.tensors.keys()]).toEqual([`${NAME}.weight`]);
    expect(warnings).toEqual([expect.stringMatching(/input_activations .* cannot be run/)]);
  });

  it('are refused with the tensor when parts do not fit', async () => {
    await expect(open('nvfp4', { weight_scale: nvfp4.weight_scale })).rejects.toThrow(
      /up_proj is no nvfp4.*weight_global_scale must be there/,
    );
    await expect(open('mxfp4', { weight_scale: nvfp4.weight_scale })).rejects.toThrow(
      /weight_scale must be u8 \[3, 2\] for 64 inputs in groups of 32, found f8_e4m3 \[3, 4\]/,
    );
    const zero = { ...nvfp4, weight_global_scale: tensor('f32', [1], Float32Array.of(0)) };
    const { opened } = await open('nvfp4', zero);
    await expect(opened.read(`${NAME}.weight`)).rejects.toThrow(/weight_global_scale is 0/);
  });
});
