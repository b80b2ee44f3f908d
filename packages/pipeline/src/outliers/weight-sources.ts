import { type Backend, type Checkpoint, rows, type Tensor, tensor, toF32, transpose } from '@calibrant/core';
import type { Place, WeightSource } from '@calibrant/outliers';
import { type ArchitectureDescription, linearSteps, storedParts, type WeightRef } from '@calibrant/transformer';

/** The weights of a model in which outliers are looked for: embedding, all linear layers (routers and gates aside), and the output projection where it is a weight of its own. */
export function weightSources(
  checkpoint: Checkpoint,
  { embedding, blocks, head }: ArchitectureDescription,
  backend: Backend,
): WeightSource[] {
  const linears = blocks.flatMap((steps, block) =>
    linearSteps(steps).flatMap(({ weight, decides }): [WeightRef, Place][] => (decides ? [] : [[weight, block]])),
  );
  const all: [WeightRef, Place][] = [
    [embedding.weight, 'embedding'],
    ...linears,
    ...(head.tied ? [] : [[head.weight, 'head'] as [WeightRef, Place]]),
  ];
  return all.map(([weight, place]) => ({
    name: weight.name,
    place,
    shape: weight.shape as [number, number],
    rows: weight.stored === undefined ? plainRows(checkpoint, weight) : wholeRows(() => readWhole(checkpoint, weight, backend)),
  }));
}

function plainRows(checkpoint: Checkpoint, { name }: WeightRef): WeightSource['rows'] {
  return async (start, end) => asF32(await checkpoint.read(name, { start, end }));
}

/** A weight that is stored in another layout is read once. */
function wholeRows(read: () => Promise<Tensor>): WeightSource['rows'] {
  let whole: Promise<Tensor> | undefined;
  return async (start, end) => {
    whole ??= read();
    return rows(await whole, start, end);
  };
}

async function readWhole(checkpoint: Checkpoint, weight: WeightRef, backend: Backend): Promise<Tensor> {
  if (weight.stored === 'transposed') {
    const x = await backend.upload(asF32(await checkpoint.read(weight.name)));
    const { y } = backend.run(transpose, { x }, {});
    try {
      return await backend.download(y);
    } finally {
      backend.free(x, y);
    }
  }
  const whole = tensor('f32', weight.shape);
  let at = 0;
  for (const { name, shape, skipRows = 0 } of storedParts(weight)) {
    const values = toF32(await checkpoint.read(name, { start: skipRows, end: shape[0] }));
    (whole.data as Float32Array).set(values, at);
    at += values.length;
  }
  return whole;
}

function asF32(value: Tensor): Tensor {
  return tensor('f32', value.shape, toF32(value));
}
