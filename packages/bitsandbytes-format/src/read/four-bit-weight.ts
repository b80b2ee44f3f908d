import type { CodedWeight } from '@calibrant/checkpoint';
import { type Backend, CalibrantError, type Checkpoint, type QuantizedTensor, type Tensor, type TensorInfo, tensor } from '@calibrant/core';
import { CODEBOOKS } from '../grids/codebooks.js';
import { fourBitName, fourBitScheme } from '../grids/four-bit.js';
import { ABSMAX_BYTES } from '../grids/magnitude.js';
import { NESTED_BLOCK, unnestMagnitudes } from '../nested.js';
import { type QuantState, readQuantState } from './quant-state.js';

export interface FourBitSource {
  readonly checkpoint: Checkpoint;
  readonly backend: Backend;
}

type Corrupt = (what: string) => CalibrantError;

/**
 * Opens the 4-bit weight of one module. Its blocks run on over rows: where they do not end with a row, the weight can be read as values alone.
 *
 * @param names those of the tensors beside its `weight`
 * @throws CalibrantError `CORRUPT_FILE` when parts are missing or do not fit each other, `UNSUPPORTED` for codebooks of other values.
 */
export async function openFourBitWeight(module: string, names: readonly string[], source: FourBitSource): Promise<CodedWeight> {
  const { checkpoint } = source;
  const name = `${module}.weight`;
  const weight = checkpoint.tensors.get(name);
  const corrupt: Corrupt = (what) =>
    new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${name} is not a 4-bit weight of bitsandbytes: ${what}.`, {
      tensor: name,
      ...(weight ? { file: weight.file } : {}),
    });
  const states = names.filter((part) => part.includes('.quant_state.'));
  if (!weight) throw corrupt('the tensor of its codes is missing');
  if (states.length !== 1)
    throw corrupt(`expected one quant_state (${name}.quant_state.bitsandbytes__nf4 or __fp4), found ${states.length}`);
  const info = checkpoint.tensors.get(states[0]) as TensorInfo;
  const state = await readQuantState(checkpoint, info);
  if (!states[0].endsWith(`__${state.quantType}`)) throw corrupt(`${states[0]} says ${state.quantType} inside`);
  const parts = partsOf(name, state, checkpoint, corrupt);
  await checkMap(parts.map, state, checkpoint, corrupt);
  const [rows, columns] = state.shape;
  const scheme = fourBitScheme(state);
  const aligned = columns % state.blockSize === 0;
  const absmax = lazily(() => readMagnitudes(state, parts, checkpoint));

  return {
    info: {
      name,
      dtype: 'f32',
      shape: [rows, columns],
      storage: `bitsandbytes ${fourBitName(state)}`,
      ...(aligned ? { coded: { scheme, scaleDtype: 'f32' } } : {}),
      bytes: names.reduce((sum, part) => sum + (checkpoint.tensors.get(part)?.bytes ?? 0), weight.bytes),
      file: weight.file,
    },
    async readCoded(start, end): Promise<QuantizedTensor> {
      const [first, last] = [start * columns, end * columns];
      const [firstBlock, lastBlock] = [Math.floor(first / state.blockSize), Math.ceil(last / state.blockSize)];
      const nibbles = await readBytes(
        checkpoint,
        weight,
        (firstBlock * state.blockSize) / 2,
        Math.ceil(Math.min(lastBlock * state.blockSize, rows * columns) / 2),
      );
      const bytes = interleave((await absmax()).subarray(firstBlock, lastBlock), nibbles, state.blockSize);
      if (aligned) return { kind: 'block', scheme, shape: [end - start, columns], bytes };
      const blocks = await source.backend.upload(tensor('u8', [lastBlock - firstBlock, scheme.blockBytes], bytes));
      const { x } = source.backend.run(scheme.decode, { blocks }, {});
      const values = (await source.backend.download(x).finally(() => source.backend.free(blocks, x))).data as Float32Array;
      const from = first - firstBlock * state.blockSize;
      const shape = [end - start, columns];
      return {
        kind: 'float',
        scheme: { kind: 'float', dtype: 'f32' },
        shape,
        tensor: tensor('f32', shape, values.slice(from, from + last - first)),
      };
    },
  };
}

interface Parts {
  readonly absmax: TensorInfo;
  readonly map: TensorInfo;
  readonly nested?: TensorInfo;
  readonly nestedMap?: TensorInfo;
}

/** The tensors beside the codes, their types and sizes checked. */
function partsOf(name: string, { shape, blockSize, doubleQuant }: QuantState, { tensors }: Checkpoint, corrupt: Corrupt): Parts {
  const [rows, columns] = shape;
  const blocks = Math.ceil((rows * columns) / blockSize);
  const part = (suffix: string, dtype: string, size: number): TensorInfo => {
    const info = tensors.get(`${name}${suffix}`);
    const label = suffix.slice(1) || 'weight';
    if (!info) throw corrupt(`${label} is missing`);
    const found = info.shape.reduce((product, length) => product * length, 1);
    if (info.dtype !== dtype || found !== size)
      throw corrupt(
        `${label} must be ${dtype} of ${size} elements for [${rows}, ${columns}] in blocks of ${blockSize}, found ${info.dtype} [${info.shape.join(', ')}]`,
      );
    return info;
  };
  part('', 'u8', Math.ceil((rows * columns) / 2));
  return {
    absmax: part('.absmax', doubleQuant ? 'u8' : 'f32', blocks),
    map: part('.quant_map', 'f32', 16),
    ...(doubleQuant
      ? { nested: part('.nested_absmax', 'f32', Math.ceil(blocks / NESTED_BLOCK)), nestedMap: part('.nested_quant_map', 'f32', 256) }
      : {}),
  };
}

/** Readers take the values of the type, whatever the file says: a file with others means something else. */
async function checkMap(map: TensorInfo, { quantType }: QuantState, checkpoint: Checkpoint, corrupt: Corrupt): Promise<void> {
  const found = (await checkpoint.read(map.name)).data as Float32Array;
  const expected = CODEBOOKS[quantType].values;
  const other = found.findIndex((value, code) => !(Math.abs(value - expected[code]) <= 1e-6));
  if (other >= 0) throw corrupt(`its quant_map has ${found[other]} for code ${other}, where ${quantType} has ${expected[other]}`);
}

async function readMagnitudes(
  { doubleQuant, offset }: QuantState,
  { absmax, nested, nestedMap }: Parts,
  checkpoint: Checkpoint,
): Promise<Float32Array> {
  const stored = (await checkpoint.read(absmax.name)).data;
  if (!doubleQuant || !nested || !nestedMap) return stored as Float32Array;
  const [scales, map] = [await checkpoint.read(nested.name), await checkpoint.read(nestedMap.name)].map(({ data }) => data as Float32Array);
  return unnestMagnitudes(stored as Uint8Array, scales, map, offset);
}

/** Bytes `[start, end)` of a tensor of bytes, `[bytes, 1]` or in one row. */
async function readBytes(checkpoint: Checkpoint, { name, shape }: TensorInfo, start: number, end: number): Promise<Uint8Array> {
  const inRows = shape[0] >= end;
  const { data }: Tensor = await checkpoint.read(name, inRows ? { start, end } : undefined);
  return inRows ? (data as Uint8Array) : (data as Uint8Array).subarray(start, end);
}

/** Blocks as the grid has them: each its magnitude, then its codes. A last block that is cut off is filled up. */
function interleave(absmax: Float32Array, nibbles: Uint8Array, blockSize: number): Uint8Array {
  const [half, stride] = [blockSize / 2, ABSMAX_BYTES + blockSize / 2];
  const bytes = new Uint8Array(absmax.length * stride);
  const view = new DataView(bytes.buffer);
  for (let b = 0; b < absmax.length; b++) {
    view.setFloat32(b * stride, absmax[b], true);
    bytes.set(nibbles.subarray(b * half, (b + 1) * half), b * stride + ABSMAX_BYTES);
  }
  return bytes;
}

/** Reads once, while the result is in use. */
function lazily(read: () => Promise<Float32Array>): () => Promise<Float32Array> {
  let held: WeakRef<Float32Array> | undefined;
  return async () => {
    const known = held?.deref();
    if (known) return known;
    const value = await read();
    held = new WeakRef(value);
    return value;
  };
}
