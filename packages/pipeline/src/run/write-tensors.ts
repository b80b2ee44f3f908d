import type {
  Backend,
  BoundCalibrator,
  FormatWriter,
  ImportanceMatrix,
  PlannedTensor,
  Quantizer,
  Recipe,
  RunOptions,
} from '@calibrant/core';
import { throwIfAborted } from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { type LayerFacts, quantizeCalibrated } from './calibrated.js';
import { calibrate } from './calibration.js';
import { encodeStream, loadWhole, workOf } from './encode-stream.js';
import { quantizeLinear } from './quantize-linear.js';
import { readSourceRows } from './source-rows.js';
import { targetsOf } from './targets.js';

export interface WriteInput extends RunOptions {
  readonly recipe: Recipe;
  readonly quantizer: Quantizer;
  readonly quantizerOptions: unknown;
  readonly calibrator?: BoundCalibrator | undefined;
  readonly plan: readonly PlannedTensor[];
  readonly writer: FormatWriter;
  readonly transformer: Transformer;
  readonly backend: Backend;
  readonly importance?: ImportanceMatrix | undefined;
}

export interface Written {
  readonly facts: ReadonlyMap<string, LayerFacts>;
  readonly calibration?: { readonly sequences: number; readonly tokens: number; readonly source: string };
}

/** Computes and writes every planned tensor: what needs no data by streaming, the rest block by block on the calibration set. */
export async function writeTensors(input: WriteInput): Promise<Written> {
  const { quantizer, plan } = input;
  const linears = new Set(input.transformer.linears().map(({ name }) => name));
  const chosen = targetsOf(plan, quantizer, linears);
  const calibrated = quantizer.needs.length === 0 ? [] : plan.filter((tensor) => chosen.has(tensor));
  const rounded = await writeDataFree(
    input,
    plan.filter((tensor) => !calibrated.includes(tensor)),
    chosen,
  );
  if (calibrated.length === 0) return { facts: rounded };
  await checkFinite(calibrated, input);
  const set = await calibrate(input.recipe.calibration, input);
  const targets = new Map(calibrated.map((tensor) => [tensor.source as string, tensor]));
  const facts = await quantizeCalibrated({ ...input, options: input.quantizerOptions, sequences: set.sequences, targets });
  return {
    facts: new Map([...rounded, ...facts]),
    calibration: { sequences: set.sequences.length, tokens: set.tokens, source: set.source },
  };
}

/** Looks at the weights that calibration will go through: one NaN in them would spoil all that the model says, and with it the calibration set. */
async function checkFinite(tensors: readonly PlannedTensor[], { transformer, onEvent, signal }: WriteInput): Promise<void> {
  const total = tensors.length;
  for (const [done, tensor] of tensors.entries()) {
    throwIfAborted(signal);
    onEvent?.({ phase: 'Checking', done, total, unit: 'tensors', item: tensor.name });
    for await (const _ of readSourceRows(transformer.checkpoint, tensor));
  }
  onEvent?.({ phase: 'Checking', done: total, total, unit: 'tensors' });
}

async function writeDataFree(
  input: WriteInput,
  tensors: readonly PlannedTensor[],
  chosen: ReadonlySet<PlannedTensor>,
): Promise<Map<string, LayerFacts>> {
  const facts = new Map<string, LayerFacts>();
  const { backend, transformer, quantizer, quantizerOptions, writer, onEvent, signal } = input;
  const phase = quantizer.needs.length === 0 ? 'Quantizing' : 'Copying';
  const total = tensors.reduce((sum, tensor) => sum + workOf(tensor), 0) * 4;
  let done = 0;
  for (const tensor of tensors) {
    throwIfAborted(signal);
    onEvent?.({ phase, done, total, unit: 'bytes', item: tensor.name });
    if (chosen.has(tensor)) {
      const weight = await loadWhole(transformer.checkpoint, tensor, backend);
      try {
        const quantized = await quantizeLinear(quantizer, quantizerOptions, tensor, weight, undefined, backend, input);
        await writer.write(tensor, { rowStart: 0, value: quantized.tensor });
        if (quantized.facts && tensor.source !== undefined) facts.set(tensor.source, quantized.facts);
      } finally {
        backend.free(weight);
      }
    } else await encodeStream(transformer.checkpoint, tensor, writer, backend, input, input.importance);
    done += workOf(tensor) * 4;
  }
  onEvent?.({ phase, done: total, total, unit: 'bytes' });
  return facts;
}
