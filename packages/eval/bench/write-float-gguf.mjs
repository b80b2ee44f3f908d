import { join } from 'node:path';
import { outputFolder } from '@calibrant/checkpoint';
import { elementCount, parseOptions, rows, tensor, toDtype } from '@calibrant/core';
import { ggufFormat } from '@calibrant/gguf-format';

/** Writes a checkpoint as a GGUF file with all matrices in one float type, for a model small enough to hold each tensor in memory. */
export async function writeFloatGguf(checkpoint, model, type, folder, backend) {
  const format = ggufFormat();
  const options = parseOptions(format.options, {}, 'gguf');
  const linears = new Set(model.linears().map(({ name }) => name));
  const facts = { config: checkpoint.config, architecture: checkpoint.config.model_type, tensors: checkpoint.tensors, linears };
  const input = { checkpoint, facts, recipe: {} };
  const plan = (await format.outputs(input, options)).map((output) => ({
    ...output,
    scheme: { kind: 'float', dtype: output.shape.length > 1 ? type : 'f32' },
  }));
  const target = join(folder, type);
  const writer = await format.open(input, plan, outputFolder(target), options, { backend });
  for (const planned of plan) {
    const { scheme, shape } = planned;
    const source = planned.constant ?? (await checkpoint.read(planned.source));
    const value = { kind: 'float', scheme, shape, tensor: toDtype(reordered(source, planned.rowOrder), scheme.dtype) };
    await writer.write(planned, { rowStart: 0, value });
  }
  const [file] = await writer.finish();
  return join(target, file);
}

function reordered(source, rowOrder) {
  if (!rowOrder) return source;
  const { period, order } = rowOrder;
  const result = tensor(source.dtype, source.shape);
  const width = elementCount(source.shape.slice(1));
  for (let r = 0; r < source.shape[0]; r++) {
    const from = Math.floor(r / period) * period + order[r % period];
    result.data.set(rows(source, from, from + 1).data, r * width);
  }
  return result;
}
