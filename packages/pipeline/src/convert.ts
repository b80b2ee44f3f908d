import path from 'node:path';
import { createAtomicFolder } from '@calibrant/checkpoint';
import {
  type Backend,
  CalibrantError,
  type Checkpoint,
  type Format,
  type FormatInput,
  type FormatWriter,
  parseOptions,
  type Registry,
  type RunOptions,
  throwIfAborted,
} from '@calibrant/core';
import { type ConversionStep, type ConvertedTensor, planConversion } from './convert/plan-conversion.js';
import { verifyConversion } from './convert/verify.js';
import { writeConverted } from './convert/write-converted.js';
import { describeOutput } from './describe-output.js';
import { openModel } from './open-model.js';
import { openRegistered } from './open-transformer.js';
import { checkDiskSpace } from './plan/check-disk-space.js';
import { localInputs } from './plan/local-inputs.js';
import { schemeLabel } from './plan/planned-bytes.js';
import { PROVENANCE_FILE } from './quantize.js';

export interface ConvertOptions extends RunOptions {
  /** A quantized model whose codes can be read: GPTQ, AWQ, compressed-tensors, … */
  readonly model: string;
  readonly format: string;
  readonly formatOptions?: Readonly<Record<string, unknown>>;
  /** The folder to write. It appears only when complete. */
  readonly out: string;
  readonly force?: boolean;
  /** Round tensors again whose codes cannot go over; otherwise they are refused. */
  readonly allowLossy?: boolean;
  /** Their scheme; if absent, one that loses little: Q8_0 in GGUF, int4-g128-asym in AWQ, int8-channel-sym elsewhere. */
  readonly scheme?: string;
  readonly registry: Registry;
  readonly backend: Backend;
}

export interface ConvertedTensorReport {
  readonly name: string;
  readonly step: ConversionStep;
  readonly from: string;
  readonly to: string;
  readonly reason?: string;
}

export interface ConvertResult {
  readonly model: string;
  readonly out: string;
  readonly format: string;
  readonly files: readonly string[];
  readonly bytes: number;
  readonly bitsPerWeight: number;
  /** Tensors by what happened to them. */
  readonly steps: Readonly<Record<ConversionStep, number>>;
  /** Tensors whose values were read back and found equal to the source's, bit by bit. */
  readonly verified: number;
  readonly tensors: readonly ConvertedTensorReport[];
  readonly seconds: number;
}

/**
 * Converts a quantized model to another format without rounding where that format holds its codes, which is checked by reading the result back; other
 * tensors are refused, or rounded again where that is allowed. Says for each tensor which happened.
 *
 * @throws CalibrantError that names what was wrong; nothing is left under `out` then.
 * @example
 * await convertModel({ model: './my-model-gptq', format: 'awq', out: './my-model-awq', registry, backend });
 */
export async function convertModel(options: ConvertOptions): Promise<ConvertResult> {
  const started = performance.now();
  const { registry, backend, onEvent } = options;
  const format = registry.get('format', options.format);
  const formatOptions = parseOptions(format.options, options.formatOptions ?? {}, 'format.options');
  const folder = await createAtomicFolder(options.out, {
    force: options.force ?? false,
    marker: PROVENANCE_FILE,
    protect: localInputs(options.model),
  });
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = await openModel(options.model, options);
    const coded = [...checkpoint.tensors.values()].filter((info) => info.coded);
    if (coded.length === 0) throw nothingToConvert(checkpoint);
    const transformer = openRegistered(checkpoint, backend, registry, null);
    const { execution } = checkpoint;
    if (execution && !format.keepsExecution)
      onEvent?.({
        warning: `${checkpoint.name} asks for quantized activations or a quantized cache, which the format ${format.name} has no place for: the converted model computes with full precision there.`,
        item: 'model',
      });
    const input: FormatInput = {
      checkpoint,
      facts: {
        config: checkpoint.config,
        architecture: transformer.description.name,
        tensors: checkpoint.tensors,
        linears: new Set(transformer.linears().map(({ name }) => name)),
      },
      recipe: await sourceRecipe(checkpoint),
      ...(execution && format.keepsExecution ? { execution } : {}),
    };
    const lossyScheme = options.allowLossy ? (options.scheme ?? lossyDefault(format)) : undefined;
    const tensors = await planConversion({ checkpoint, format, formatOptions, input, registry, lossyScheme });
    const plan = tensors.map(({ planned }) => planned);
    await checkDiskSpace(folder.stagingPath, plan);
    const named = { ...input, recipe: { ...(input.recipe as object), scheme: { name: commonScheme(tensors), options: {} } } };
    const writer = await format.open(named, plan, folder, formatOptions, options);
    const files = await written(writer, () => writeConverted(checkpoint as Checkpoint, tensors, writer, input.execution, options));
    const single = files.length === 1 && !files[0].endsWith('.safetensors');
    const verified = await verifyConversion(
      checkpoint,
      single ? path.join(folder.stagingPath, files[0]) : folder.stagingPath,
      tensors,
      options,
    );
    const { bytes, bitsPerWeight } = await describeOutput(folder.stagingPath, files, options);
    const result: ConvertResult = {
      model: options.model,
      out: options.out,
      format: format.name,
      files: files.map((file) => path.join(options.out, file)),
      bytes,
      bitsPerWeight,
      steps: counted(tensors),
      verified,
      tensors: tensors.map(({ planned, step, from, reason }) => ({
        name: planned.name,
        step,
        from,
        to: schemeLabel(planned.scheme),
        ...(reason === undefined ? {} : { reason }),
      })),
      seconds: (performance.now() - started) / 1000,
    };
    await folder.writeText(PROVENANCE_FILE, `${JSON.stringify(provenance(result, input.recipe), null, 2)}\n`);
    throwIfAborted(options.signal);
    await folder.commit();
    return result;
  } finally {
    await folder.abort();
    await checkpoint?.close();
  }
}

async function written(writer: FormatWriter, write: () => Promise<void>): Promise<readonly string[]> {
  try {
    await write();
    return await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

function nothingToConvert({ name, tensors }: Checkpoint): CalibrantError {
  const stored = [...tensors.values()].some(({ storage }) => storage);
  const what = stored ? 'is stored in blocks that other formats cannot take over' : 'is not quantized';
  return new CalibrantError(
    'UNSUPPORTED',
    `${name} ${what}, so there are no codes to convert. Use calibrant quantize with the scheme and format that you want.`,
    { option: 'model' },
  );
}

/** The recipe that a model of ours was made by. */
async function sourceRecipe(checkpoint: Checkpoint): Promise<Record<string, unknown>> {
  try {
    const saved = JSON.parse((await checkpoint.text(PROVENANCE_FILE)) ?? '{}') as { recipe?: Record<string, unknown> };
    return saved.recipe ?? {};
  } catch {
    return {};
  }
}

function lossyDefault({ name }: Format): string {
  return name === 'gguf' ? 'Q8_0' : name === 'awq' ? 'int4-g128-asym' : 'int8-channel-sym';
}

/** The grid of most quantized tensors, for names of files. */
function commonScheme(tensors: readonly ConvertedTensor[]): string {
  const counts = new Map<string, number>();
  for (const { planned, step } of tensors)
    if (step !== 'copied') counts.set(schemeLabel(planned.scheme), (counts.get(schemeLabel(planned.scheme)) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'F16';
}

function counted(tensors: readonly ConvertedTensor[]): Record<ConversionStep, number> {
  const counts = { exact: 0, requantized: 0, copied: 0 };
  for (const { step } of tensors) counts[step]++;
  return counts;
}

function provenance({ model, out: _out, files, seconds: _seconds, ...rest }: ConvertResult, recipe: unknown) {
  return {
    madeBy: 'calibrant',
    source: path.basename(model),
    files: files.map((file) => path.basename(file)),
    recipe,
    conversion: rest,
  };
}
