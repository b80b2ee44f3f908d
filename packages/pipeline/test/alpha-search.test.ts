import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, type Checkpoint, createRng, toF32 } from '@calibrant/core';
import { openModel } from '@calibrant/pipeline';
import { smoothquant } from '@calibrant/smoothquant';
import { modelFolder } from '@calibrant/tiny-llama';
import { openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { testRegistry } from './fixture.js';
import { transformedModel } from './transformed-model.js';

const STEPS = 8;
const TOKENS = 12;
const WIDTH = 256;
let backend: Backend;
let checkpoint: Checkpoint;

beforeAll(async () => {
  backend = createCpuBackend({ threads: 2 });
  checkpoint = await openModel(modelFolder, { registry: testRegistry(), backend });
});
afterAll(async () => {
  await checkpoint.close();
  await backend.close();
});

/** What the layers of block 0 read. */
async function inputsOfBlock(ids: Int32Array): Promise<Map<string, Float32Array>> {
  const model = openTransformer(checkpoint, backend);
  const found = new Map<string, Promise<Float32Array>>();
  const states = await model.run([ids], {
    observe(block, point, handle) {
      if (block === 0) found.set(point, backend.download(handle).then(toF32));
    },
  });
  const inputs = new Map<string, Float32Array>();
  for (const { name, block, input } of model.linears())
    if (block === 0) inputs.set(name, await (found.get(input) as Promise<Float32Array>));
  backend.free(...states);
  await model.release();
  return inputs;
}

/** Rows rounded to `levels` steps on either side of 0: `absmax / steps` wide, codes from −128 to 127. */
function rounded(values: Float64Array, steps: number): Float64Array {
  const out = new Float64Array(values.length);
  for (let row = 0; row < values.length; row += WIDTH) {
    let most = 0;
    for (let c = row; c < row + WIDTH; c++) most = Math.max(most, Math.abs(values[c]));
    for (let c = row; c < row + WIDTH; c++) out[c] = (most / steps) * Math.max(-128, Math.min(127, Math.round((values[c] * steps) / most)));
  }
  return out;
}

const scaled = (values: ArrayLike<number>, factor: (channel: number) => number) =>
  Float64Array.from(values, (value, i) => value * factor(i % WIDTH));

function product(x: Float64Array, w: Float64Array): Float64Array {
  const rows = w.length / WIDTH;
  return Float64Array.from({ length: TOKENS * rows }, (_, at) => {
    const [t, r] = [Math.floor(at / rows) * WIDTH, (at % rows) * WIDTH];
    let sum = 0;
    for (let c = 0; c < WIDTH; c++) sum += x[t + c] * w[r + c];
    return sum;
  });
}

/** The relative squared error of W8A8 outputs with channels scaled by factors: weights per row, inputs per token. */
function lossOf(x: Float32Array, weights: readonly Float32Array[], factor: (channel: number) => number): number {
  let [error, power] = [0, 0];
  const inputs = rounded(
    scaled(x, (c) => 1 / factor(c)),
    127,
  );
  for (const w of weights) {
    const exact = product(Float64Array.from(x), Float64Array.from(w));
    const found = product(inputs, rounded(scaled(w, factor), 127.5));
    for (const [i, value] of exact.entries()) {
      error += (value - found[i]) ** 2;
      power += value ** 2;
    }
  }
  return error / power;
}

it('the migration strength that SmoothQuant chooses has the least loss of all that are tried, by an oracle that tries them', async () => {
  const random = createRng(17);
  const ids = Int32Array.from({ length: TOKENS }, () => random.integer(4096));
  const options = { alpha: 'search', gridSteps: STEPS, searchTokens: TOKENS };
  const { facts } = await transformedModel(checkpoint, smoothquant(), options, [ids], backend);
  const inputs = await inputsOfBlock(ids);
  for (const [site, layers] of [
    ['model.layers.0.input_layernorm', ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj']],
    ['model.layers.0.post_attention_layernorm', ['mlp.gate_proj', 'mlp.up_proj']],
  ] as const) {
    const names = layers.map((layer) => `model.layers.0.${layer}.weight`);
    const weights = await Promise.all(names.map(async (name) => toF32(await checkpoint.read(name))));
    const x = inputs.get(names[0]) as Float32Array;
    const [ofInputs, ofWeights] = [new Float64Array(WIDTH), new Float64Array(WIDTH)];
    x.forEach((value, i) => {
      ofInputs[i % WIDTH] = Math.max(ofInputs[i % WIDTH], Math.abs(value));
    });
    for (const w of weights)
      w.forEach((value, i) => {
        ofWeights[i % WIDTH] = Math.max(ofWeights[i % WIDTH], Math.abs(value));
      });
    const losses = Array.from({ length: STEPS + 1 }, (_, step) => {
      const alpha = step / STEPS;
      return lossOf(x, weights, (c) => ofInputs[c] ** alpha / ofWeights[c] ** (1 - alpha));
    });
    const { alpha, loss, lossBefore } = facts.find(({ at }) => at === site)!.facts as Record<string, number>;
    expect(losses[alpha * STEPS] / Math.min(...losses)).toBeLessThan(1.005);
    expect(loss / losses[alpha * STEPS]).toBeCloseTo(1, 2);
    expect(lossBefore / lossOf(x, weights, () => 1)).toBeCloseTo(1, 2);
    expect(Math.max(...losses)).toBeGreaterThan(1.2 * Math.min(...losses)); // there was something to choose
  }
});
