import {
  type Backend,
  CalibrantError,
  type Checkpoint,
  decodeTensor,
  type ExecutionPlan,
  type QuantizedTensor,
  type Tensor,
  type TensorInfo,
} from '@calibrant/core';

/** A quantized weight of a folder, readable as codes. */
export interface CodedWeight {
  /** Its name and shape as an ordinary weight, its `storage` and `coded`. */
  readonly info: TensorInfo;
  /** Rows `[start, end)`. */
  readCoded(start: number, end: number): Promise<QuantizedTensor>;
}

export interface CodedFolder {
  readonly weights: readonly CodedWeight[];
  /** Names of the tensors that the weights are made of. They are hidden. */
  readonly parts: ReadonlySet<string>;
  readonly backend: Backend;
  readonly execution?: ExecutionPlan;
}

/** A folder with quantized weights as an ordinary checkpoint: each weight appears under its Hugging Face name in f32, decoded when it is read. */
export function codedFolder(checkpoint: Checkpoint, { weights, parts, backend, execution }: CodedFolder): Checkpoint {
  const { quantization_config: _, ...config } = checkpoint.config;
  const byName = new Map(weights.map((weight) => [weight.info.name, weight]));
  const tensors = inOrder(checkpoint, weights, parts);
  const rowsOf = ({ info }: CodedWeight, range?: { readonly start: number; readonly end: number }): [number, number] => {
    const [start, end] = [range?.start ?? 0, range?.end ?? info.shape[0]];
    if (start >= 0 && start <= end && end <= info.shape[0]) return [start, end];
    throw new CalibrantError('SHAPE_MISMATCH', `Rows ${start} to ${end} are outside "${info.name}" of ${info.shape[0]} rows.`, {
      tensor: info.name,
    });
  };
  return {
    name: checkpoint.name,
    config,
    tensors,
    files: checkpoint.files,
    ...(execution ? { execution } : {}),
    text: (file) => checkpoint.text(file),
    ...(checkpoint.bytes ? { bytes: checkpoint.bytes } : {}),
    async read(name, range) {
      const weight = byName.get(name);
      return weight ? decode(await weight.readCoded(...rowsOf(weight, range)), backend) : checkpoint.read(name, range);
    },
    async readCoded(name, range) {
      const weight = byName.get(name);
      if (!weight) throw new CalibrantError('NOT_FOUND', `${checkpoint.name} holds no codes for "${name}".`, { tensor: name });
      return weight.readCoded(...rowsOf(weight, range));
    },
    close: () => checkpoint.close(),
  };
}

/** The weights where their first parts are: what is written from them then has the order of the source. */
function inOrder(checkpoint: Checkpoint, weights: readonly CodedWeight[], parts: ReadonlySet<string>): Map<string, TensorInfo> {
  const byModule = new Map(weights.map(({ info }) => [info.name.replace(/\.weight$/, ''), info]));
  const tensors = new Map<string, TensorInfo>();
  for (const [name, info] of checkpoint.tensors) {
    const weight = parts.has(name) ? byModule.get(name.replace(/\.[^.]+$/, '')) : info;
    if (weight && !tensors.has(weight.name)) tensors.set(weight.name, weight);
  }
  for (const { info } of weights) if (!tensors.has(info.name)) tensors.set(info.name, info);
  return tensors;
}

async function decode(coded: QuantizedTensor, backend: Backend): Promise<Tensor> {
  if (coded.kind === 'float') return coded.tensor;
  if (coded.shape[0] === 0) return { dtype: 'f32', shape: coded.shape, data: new Float32Array(0) };
  const handle = await decodeTensor(coded, backend);
  try {
    return await backend.download(handle);
  } finally {
    backend.free(handle);
  }
}
