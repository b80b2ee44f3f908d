import {
  type Backend,
  type Checkpoint,
  type OutputFolder,
  type OutputTensor,
  type QuantizedTensor,
  type Scheme,
  type Tensor,
  tensor,
  toF32,
} from '@calibrant/core';
import { blockType, ggufFormat, ggufSchemes } from '@calibrant/gguf-format';

export interface ConvertOptions {
  readonly scheme?: string;
  readonly schemeOptions?: Record<string, unknown>;
  readonly format?: Record<string, unknown>;
}

/** A checkpoint of tensors in memory. */
export function memoryCheckpoint(
  config: Record<string, unknown>,
  tensors: ReadonlyMap<string, Tensor>,
  files: Record<string, string> = {},
  name = 'some/model',
): Checkpoint {
  const infos = [...tensors].map(
    ([key, { dtype, shape, data }]) => [key, { name: key, dtype, shape, bytes: data.byteLength, file: name }] as const,
  );
  return {
    name,
    config,
    tensors: new Map(infos),
    files: Object.keys(files),
    text: async (file) => files[file],
    async read(key) {
      const found = tensors.get(key);
      if (!found) throw new Error(`no ${key}`);
      return found;
    },
    async close() {},
  };
}

export function schemeNamed(name: string): Scheme {
  const found = ggufSchemes().find((scheme) => scheme.name === name);
  if (!found) throw new Error(`no scheme ${name}`);
  return found;
}

export function factsOf(checkpoint: Checkpoint) {
  return {
    config: checkpoint.config,
    architecture: String(checkpoint.config['model_type']),
    tensors: checkpoint.tensors,
    linears: new Set<string>(),
  };
}

/** What the pipeline does with a data-free recipe: plan, read, reorder, encode, write. */
export async function convert(
  checkpoint: Checkpoint,
  folder: OutputFolder,
  backend: Backend,
  { scheme = 'F32', schemeOptions = {}, format: chosen = {} }: ConvertOptions = {},
) {
  const format = ggufFormat();
  const options = format.options.parse({ fileName: 'model.gguf', ...chosen });
  const facts = factsOf(checkpoint);
  const input = { checkpoint, facts, recipe: { scheme: { name: scheme } } };
  const outputs = await format.outputs(input, options);
  const found = schemeNamed(scheme);
  const assigned = found.assign(outputs, facts, found.options.parse(schemeOptions));
  const plan = outputs.map((output) => ({ ...output, scheme: assigned.get(output.name) ?? format.floatScheme(output, facts, options) }));
  const writer = await format.open(input, plan, folder, options, { backend });
  for (const planned of plan) {
    const values = await valuesOf(checkpoint, planned);
    const columns = planned.shape.at(-1) ?? 1;
    const x = await backend.upload(tensor('f32', [values.length / columns, columns], values));
    const { scheme: of } = planned;
    const { blocks } = backend.run(blockType(of.kind === 'float' ? of.dtype : of.kind === 'block' ? of.type : 'none').encode, { x }, {});
    const bytes = (await backend.download(blocks)).data as Uint8Array;
    backend.free(x, blocks);
    const { shape } = planned;
    const value =
      of.kind === 'float'
        ? { kind: 'float', scheme: of, shape, tensor: { dtype: of.dtype, shape, data: bytes } }
        : { kind: 'block', scheme: of, shape, bytes };
    await writer.write(planned, { rowStart: 0, value: value as QuantizedTensor });
  }
  return { plan, files: await writer.finish() };
}

/** What an output holds, from its sources. */
async function valuesOf(checkpoint: Checkpoint, planned: OutputTensor): Promise<Float32Array> {
  if (planned.constant) return toF32(planned.constant);
  const count = planned.shape.reduce((product, size) => product * size, 1);
  const result = new Float32Array(count);
  const sources = planned.stacked ?? [planned.source ?? ''];
  for (const [index, name] of sources.entries()) {
    const { shape, data } = await checkpoint.read(name);
    const plain = planned.transposed ? transpose(Float32Array.from(data as Float32Array), shape) : Float32Array.from(data as Float32Array);
    const ordered = reorder(plain, planned.stacked ? shape : [shape[0], plain.length / shape[0]], planned.rowOrder);
    result.set(ordered.subarray(0, count / sources.length), (index * count) / sources.length);
  }
  return result.map((value) => value + (planned.add ?? 0));
}

function transpose(values: Float32Array, [rows, columns]: readonly number[]): Float32Array {
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
}

/** Rows (elements of a vector) in output order. */
export function reorder(
  values: Float32Array,
  shape: readonly number[],
  rowOrder?: { readonly period: number; readonly order: readonly number[] },
) {
  if (!rowOrder) return values;
  const width = shape.slice(1).reduce((product, size) => product * size, 1);
  const result = new Float32Array(values.length);
  for (let row = 0; row < shape[0]; row++) {
    const from = Math.floor(row / rowOrder.period) * rowOrder.period + rowOrder.order[row % rowOrder.period];
    result.set(values.subarray(from * width, (from + 1) * width), row * width);
  }
  return result;
}
