import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder } from '@calibrant/checkpoint';
import { evaluateModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';
import { writeRandomModel } from './random-model.js';

const registry = testRegistry();
const backend = createCpuBackend({ threads: 2 });
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
beforeAll(async () => {
  scratch = await scratchFolder();
});
afterAll(async () => {
  await backend.close();
  await scratch.clean();
});

async function quantized(model: string, out: string, options: Record<string, unknown>, recipe: Record<string, unknown>) {
  const warnings: string[] = [];
  const result = await quantizeModel({
    model,
    out: scratch.path(out),
    recipe: { format: 'compressed-tensors', quantizer: { name: 'gptq', options }, ...recipe },
    registry,
    backend,
    onEvent: (event) => 'warning' in event && warnings.push(event.warning),
  });
  return { ...result, warnings };
}

/** The bytes of a stored tensor. */
async function bytesOf(out: string, name: string): Promise<Uint8Array> {
  const checkpoint = await openModelFolder(scratch.path(out));
  const { data } = await checkpoint.read(name);
  await checkpoint.close();
  return new Uint8Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
}

describe('GPTAQ', () => {
  it('brings the embedded model nearer to its original at 3 bits than GPTQ does on the same tokens', async () => {
    const calibration = { source: 'file', path: evaluationTextPath, samples: 4, length: 256, seed: 0 };
    const divergence = async (out: string) => {
      const evaluation = await evaluateModel({
        model: scratch.path(out),
        base: modelFolder,
        text: evaluationTextPath,
        maxWindows: 1,
        registry,
        backend,
      });
      return evaluation.comparison!.meanKl;
    };
    const recipe = { scheme: 'int3-g128-asym', calibration };
    await quantized(modelFolder, 'plain', {}, recipe);
    await quantized(modelFolder, 'gptaq', { asymmetricCalibration: true, gptaqAlpha: 0.25 }, recipe);
    const [plain, gptaq] = [await divergence('plain'), await divergence('gptaq')];
    expect(gptaq).toBeLessThan(0.9 * plain);
  });

  it('leaves alone what no quantized layer comes before, and goes through mixtures', async () => {
    await writeRandomModel(scratch.path('mixtral'), 'mixtral');
    const recipe = { scheme: 'int3-g16-asym', calibration: { source: 'random', samples: 6, length: 48 } };
    const options = { leastTokenShare: 0, trueSequential: true };
    await quantized(scratch.path('mixtral'), 'moe-plain', options, recipe);
    await quantized(scratch.path('mixtral'), 'moe-gptaq', { ...options, asymmetricCalibration: true, gptaqAlpha: 1 }, recipe);
    const same = async (layer: string) => {
      const name = `${layer}.weight_packed`;
      return Buffer.compare(await bytesOf('moe-plain', name), await bytesOf('moe-gptaq', name)) === 0;
    };
    expect(await same('model.layers.0.self_attn.q_proj')).toBe(true);
    expect(await same('model.layers.0.self_attn.o_proj')).toBe(false);
    expect(await same('model.layers.1.self_attn.q_proj')).toBe(false);
  });
});
