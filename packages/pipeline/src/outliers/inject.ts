import { existsSync } from 'node:fs';
import { copySideFiles, createAtomicFolder, createShardedWriter } from '@calibrant/checkpoint';
import {
  type Backend,
  CalibrantError,
  type Checkpoint,
  type DType,
  dtypeInfo,
  type OutputFolder,
  type Registry,
  type RunOptions,
  throwIfAborted,
} from '@calibrant/core';
import { openModel } from '../open-model.js';
import { openRegistered } from '../open-transformer.js';
import { countNonFinite } from '../run/finite.js';
import { type Injection, type InjectionPlan, planInjection } from './plan-injection.js';
import { scaledRows } from './scaled-tensor.js';

export interface InjectionOptions extends RunOptions {
  readonly model: string;
  /** The folder to write. It appears only when complete. */
  readonly out: string;
  /** Replace it, if this program wrote it. */
  readonly force?: boolean;
  /** Dimensions of the residual stream that become outliers, in all blocks; 4 if absent. */
  readonly channels?: number;
  /** How much larger they become; 50 if absent. */
  readonly factor?: number;
  /** Of the choice of channels; 0 if absent. */
  readonly seed?: number;
  /** Also as many channels between v and o, and between up and down, wherever that is exact. */
  readonly inner?: boolean;
  /** Type of the written floats: `f32` (if absent) or that of the source, to which scaled weights are rounded. */
  readonly dtype?: 'f32' | 'source';
  readonly registry: Registry;
  readonly backend: Backend;
}

export interface InjectionResult {
  readonly out: string;
  readonly files: readonly string[];
  /** The dimensions of the residual stream that are outliers now. */
  readonly channels: readonly number[];
  readonly factor: number;
  readonly injections: readonly Injection[];
  readonly skipped: InjectionPlan['skipped'];
  readonly seconds: number;
}

/** What the program leaves in folders that it wrote, with how they were made. */
const PROVENANCE_FILE = 'calibrant.json';

/**
 * Writes a model that computes the same but has OPT-like outlier channels: weights (and biases) of the norms before linear layers times a factor in a few dimensions, the same in every block, and the columns that
 * read them divided by it. A test bed for methods against outliers. Works for every architecture whose norms serve linear layers alone; tensors are streamed.
 *
 * @throws CalibrantError `UNSUPPORTED` where an architecture has no place for it, `INVALID_ARGUMENT` for more channels than there are, `NUMERICAL` when a scaled value exceeds its type, `OUTPUT_EXISTS`.
 * @example
 * const { channels } = await injectOutliers({ model: './my-model', out: './my-model-outliers', channels: 4, factor: 50, registry, backend });
 */
export async function injectOutliers(options: InjectionOptions): Promise<InjectionResult> {
  const started = performance.now();
  const { model, channels = 4, factor = 50, seed = 0, inner = false, dtype = 'f32' } = options;
  if (!(factor > 0 && Number.isFinite(factor)))
    throw new CalibrantError('INVALID_ARGUMENT', `The factor must be a number above 0, found ${factor}.`, { option: '--factor' });
  const target = { force: options.force ?? false, marker: PROVENANCE_FILE, protect: existsSync(model) ? [model] : [] };
  const folder = await createAtomicFolder(options.out, target);
  let checkpoint: Checkpoint | undefined;
  try {
    checkpoint = await openModel(model, options);
    const { description } = openRegistered(checkpoint, options.backend, options.registry);
    if (!(Number.isInteger(channels) && channels > 0 && channels <= description.hiddenSize))
      throw new CalibrantError('INVALID_ARGUMENT', `The model has ${description.hiddenSize} channels, cannot choose ${channels}.`, {
        option: '--channels',
      });
    const plan = planInjection(description, { channels, factor, seed, inner });
    if (plan.injections.length === 0)
      throw new CalibrantError(
        'UNSUPPORTED',
        `${description.name}: there is no place for outlier channels. ${plan.skipped[0]?.reason ?? ''} ${inner ? '' : 'Channels inside of attention and MLP may do: add --inner.'}`.trim(),
      );
    warn(plan, checkpoint, options);
    const files = await writeModel(checkpoint, plan, folder, options);
    const { dimensions, injections, skipped } = plan;
    const made = { channels: dimensions, factor, injections, skipped };
    await writeSideFiles(checkpoint, folder, dtype, { model, seed, inner, dtype, ...made });
    await folder.commit();
    return { out: folder.path, files, ...made, seconds: (performance.now() - started) / 1000 };
  } finally {
    await checkpoint?.close();
    await folder.abort();
  }
}

function typeOf(dtype: DType, wanted: InjectionOptions['dtype'] = 'f32'): DType {
  return dtypeInfo(dtype).float && wanted === 'f32' ? 'f32' : dtype;
}

async function writeModel(
  checkpoint: Checkpoint,
  { factors }: InjectionPlan,
  folder: OutputFolder,
  options: InjectionOptions,
): Promise<readonly string[]> {
  const infos = [...checkpoint.tensors.values()];
  const specs = infos.map(({ name, dtype, shape }) => ({ name, dtype: typeOf(dtype, options.dtype), shape }));
  const writer = await createShardedWriter(folder, specs);
  try {
    for (const [done, { name, dtype }] of specs.entries()) {
      throwIfAborted(options.signal);
      options.onEvent?.({ phase: 'Writing the model', done, total: specs.length, unit: 'tensors', item: name });
      for await (const { row, value } of scaledRows(checkpoint, name, dtype, factors.get(name), options.backend)) {
        if (factors.has(name) && countNonFinite(value) > 0)
          throw new CalibrantError(
            'NUMERICAL',
            `${name} times ${options.factor ?? 50} exceeds ${dtype}. Use a smaller --factor, or --dtype f32.`,
            { tensor: name },
          );
        await writer.write(name, value, { row });
      }
    }
    await writer.finish();
  } catch (error) {
    await writer.close();
    throw error;
  }
  options.onEvent?.({ phase: 'Writing the model', done: specs.length, total: specs.length, unit: 'tensors' });
  return writer.files;
}

async function writeSideFiles(checkpoint: Checkpoint, folder: OutputFolder, dtype: InjectionOptions['dtype'], made: object): Promise<void> {
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  await copySideFiles(checkpoint, folder);
  const { quantization_config: _, ...config } = checkpoint.config;
  const typeKey = 'dtype' in config ? 'dtype' : 'torch_dtype';
  await folder.writeText('config.json', json(dtype === 'source' ? config : { ...config, [typeKey]: 'float32' }));
  await folder.writeText(PROVENANCE_FILE, json({ injection: made }));
}

function warn(
  { skipped, offsets }: InjectionPlan,
  checkpoint: Checkpoint,
  { factor = 50, dtype = 'f32', onEvent }: InjectionOptions,
): void {
  if (skipped.length > 0)
    onEvent?.({
      warning: `${skipped.length} inputs stay as they are, the first is ${skipped[0].point} of block ${skipped[0].block}: ${skipped[0].reason}`,
    });
  const rounded = [...checkpoint.tensors.values()].find((info) => info.dtype === 'bf16' || info.dtype === 'f16');
  if (dtype === 'source' && rounded && (offsets || !Number.isInteger(Math.log2(factor))))
    onEvent?.({
      warning: `Scaled weights are rounded to ${rounded.dtype}, which changes the function a little. ${offsets ? 'Use --dtype f32' : 'A power of two as --factor, or --dtype f32,'} to keep it.`,
    });
}
