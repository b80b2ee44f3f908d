import {
  type Backend,
  type Checkpoint,
  type ExecutionPlan,
  type FormatWriter,
  type PlannedTensor,
  parseOptions,
  type Registry,
  type RunOptions,
  throwIfAborted,
} from '@calibrant/core';
import { encodeStream, loadWhole, workOf } from '../run/encode-stream.js';
import { quantizeLinear } from '../run/quantize-linear.js';
import type { ConvertedTensor } from './plan-conversion.js';
import { repack } from './repack.js';

interface ConversionRun extends RunOptions {
  readonly backend: Backend;
  readonly registry: Registry;
}

/** Writes every tensor by its step, and the static grids that the source has. */
export async function writeConverted(
  checkpoint: Checkpoint,
  tensors: readonly ConvertedTensor[],
  writer: FormatWriter,
  execution: ExecutionPlan | undefined,
  run: ConversionRun,
): Promise<void> {
  const { backend, onEvent, signal } = run;
  const total = tensors.reduce((sum, { planned }) => sum + workOf(planned), 0) * 4;
  let done = 0;
  for (const { planned, step } of tensors) {
    throwIfAborted(signal);
    onEvent?.({ phase: 'Converting', done, total, unit: 'bytes', item: planned.name });
    if (step === 'exact') await repack(checkpoint, planned, writer, backend);
    else await encodeAgain(checkpoint, planned, writer, run);
    done += workOf(planned) * 4;
  }
  onEvent?.({ phase: 'Converting', done: total, total, unit: 'bytes' });
  for (const [linear, grid] of execution?.activations ?? []) if (!grid.scheme.dynamic) await writer.writeActivation?.({ linear }, grid);
  for (const [block, grids] of execution?.keyValueCache ?? [])
    for (const part of ['key', 'value'] as const)
      if (!grids[part].scheme.dynamic) await writer.writeActivation?.({ block, part }, grids[part]);
}

/** Decodes a tensor and rounds it to another grid, or to a float type. */
async function encodeAgain(checkpoint: Checkpoint, planned: PlannedTensor, writer: FormatWriter, run: ConversionRun): Promise<void> {
  const { backend, registry } = run;
  const { scheme } = planned;
  if (scheme.kind !== 'affine') return encodeStream(checkpoint, planned, writer, backend, run);
  const weight = await loadWhole(checkpoint, planned, backend);
  try {
    const quantizer = registry.get('quantizer', 'rtn');
    const options = parseOptions(quantizer.options, {}, 'rtn');
    const { tensor } = await quantizeLinear(quantizer, options, planned, weight, undefined, backend, run);
    await writer.write(planned, { rowStart: 0, value: tensor });
  } finally {
    backend.free(weight);
  }
}
