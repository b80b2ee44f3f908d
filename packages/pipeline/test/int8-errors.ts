import { readFile } from 'node:fs/promises';
import { openModelFolder } from '@calibrant/checkpoint';
import { type Backend, type Tensor, toF32 } from '@calibrant/core';
import { evaluationTextPath } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';

/**
 * Relative error of some outputs of the first block's layers that read normed hidden states, when the input is rounded to one int8 grid for all of it (absmax / 127), in plain f64 loops. Layers by name.
 */
export async function int8Errors(folder: string, backend: Backend): Promise<Record<string, number>> {
  const checkpoint = await openModelFolder(folder);
  const model = openTransformer(checkpoint, backend);
  const text = await readFile(evaluationTextPath, 'utf8');
  const hidden = await model.embed((await openTokenizer(checkpoint)).encode(text).slice(0, 12));
  const block = model.block(0);
  const weights = await block.load();
  const seen = new Map<string, Promise<Tensor>>();
  const output = await block.forward(hidden, weights, { observe: (point, x) => seen.set(point, backend.download(x)) });
  const errors: Record<string, number> = {};
  for (const { point, linears } of block.stages)
    for (const { name } of linears)
      if (point === 'attentionInput' || point === 'mlpInput') errors[name] = int8Error(await seen.get(point)!, await checkpoint.read(name));
  backend.free(hidden, output);
  block.release(weights);
  await model.release();
  await checkpoint.close();
  return errors;
}

/** Outputs of each layer that are computed. */
const ROWS = 48;

function int8Error(input: Tensor, weight: Tensor): number {
  const [tokens, width] = input.shape;
  const [x, w] = [toF32(input), toF32(weight)];
  const scale = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
  let [error, size] = [0, 0];
  for (let t = 0; t < tokens; t++)
    for (let row = 0; row < Math.min(ROWS, weight.shape[0]); row++) {
      let [exact, rounded] = [0, 0];
      for (let c = 0; c < width; c++) {
        const value = x[t * width + c];
        exact += value * w[row * width + c];
        rounded += Math.round(value / scale) * scale * w[row * width + c];
      }
      error += (rounded - exact) ** 2;
      size += exact ** 2;
    }
  return Math.sqrt(error / size);
}
