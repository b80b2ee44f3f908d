import { join } from 'node:path';
import { createShardedWriter, openModelFolder, outputFolder } from '@calibrant/checkpoint';
import { tensor } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { temporaryFolder } from './temporary-folder.js';

const [EXPERTS, HIDDEN, INNER] = [3, 4, 2];
const gateUp = Float32Array.from({ length: EXPERTS * 2 * INNER * HIDDEN }, (_, i) => i);
const down = Float32Array.from({ length: EXPERTS * HIDDEN * INNER }, (_, i) => -i);

/** A folder with one layer's experts in two tensors of these shapes, and its router. */
async function fusedModel(modelType: string, gateUpShape: number[], downShape: number[]): Promise<string> {
  const path = await temporaryFolder();
  const folder = outputFolder(join(path));
  const tensors = [
    ['model.layers.0.mlp.experts.down_proj', downShape, down],
    ['model.layers.0.mlp.experts.gate_up_proj', gateUpShape, gateUp],
    ['model.layers.0.mlp.gate.weight', [EXPERTS, HIDDEN], new Float32Array(EXPERTS * HIDDEN)],
  ] as const;
  const specs = tensors.map(([name, shape]) => ({ name, shape, dtype: 'f32' as const }));
  const writer = await createShardedWriter(folder, specs, { maxShardBytes: 80 });
  for (const [name, shape, values] of tensors) await writer.write(name, tensor('f32', shape, values));
  await writer.finish();
  await folder.writeText('config.json', JSON.stringify({ model_type: modelType }));
  return path;
}

describe('experts that a checkpoint holds in tensors of three dimensions', () => {
  const plain: [number[], number[]] = [
    [EXPERTS, 2 * INNER, HIDDEN],
    [EXPERTS, HIDDEN, INNER],
  ];

  it.each([
    ['qwen3_moe', 'mlp', 'gate_proj', 'up_proj', 'down_proj'],
    ['mixtral', 'block_sparse_moe', 'w1', 'w3', 'w2'],
  ])('are those of single experts in %s', async (modelType, module, gateName, upName, downName) => {
    const model = await openModelFolder(await fusedModel(modelType, ...plain));
    const prefix = `model.layers.0.${module}`;
    const expected = [0, 1, 2].flatMap((i) => [gateName, upName, downName].map((name) => `${prefix}.experts.${i}.${name}.weight`));
    expect([...model.tensors.keys()].sort()).toEqual([...expected, `${prefix}.gate.weight`].sort());
    const half = INNER * HIDDEN;
    for (let i = 0; i < EXPERTS; i++) {
      const read = async (name: string) => model.read(`${prefix}.experts.${i}.${name}.weight`);
      expect(await read(gateName)).toEqual(tensor('f32', [INNER, HIDDEN], gateUp.slice(2 * i * half, (2 * i + 1) * half)));
      expect(await read(upName)).toEqual(tensor('f32', [INNER, HIDDEN], gateUp.slice((2 * i + 1) * half, (2 * i + 2) * half)));
      expect(await read(downName)).toEqual(tensor('f32', [HIDDEN, INNER], down.slice(i * half, (i + 1) * half)));
    }
    const name = `${prefix}.experts.2.${upName}.weight`;
    expect(model.tensors.get(name)).toMatchObject({ name, shape: [INNER, HIDDEN], bytes: 4 * half });
    expect((await model.read(name, { start: 1, end: 2 })).data).toEqual(gateUp.slice(-HIDDEN));
    await expect(model.read('model.layers.0.mlp.experts.down_proj')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await model.close();
  });

  it('are left alone in another layout', async () => {
    const model = await openModelFolder(await fusedModel('qwen3_moe', [EXPERTS, HIDDEN, 2 * INNER], [EXPERTS, INNER, HIDDEN]));
    expect(model.tensors.get('model.layers.0.mlp.experts.gate_up_proj')?.shape).toEqual([EXPERTS, HIDDEN, 2 * INNER]);
    await model.close();
  });
});
