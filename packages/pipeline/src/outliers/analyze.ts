import {
  type Backend,
  CalibrantError,
  type Checkpoint,
  parseRecipe,
  type RecipeInput,
  type Registry,
  type RunOptions,
} from '@calibrant/core';
import {
  analyzeWeight,
  compareReports,
  type MassiveActivation,
  massiveFigures,
  type OutlierComparison,
  type OutlierCriteria,
  type OutlierReport,
  outlierCriteria,
  outlierDimensions,
  summarize,
  type WeightOptions,
  type WeightOutliers,
} from '@calibrant/outliers';
import { openTokenizer, type Transformer } from '@calibrant/transformer';
import { openModel } from '../open-model.js';
import { openRegistered } from '../open-transformer.js';
import { calibrate } from '../run/calibration.js';
import { type Observed, observeModel } from './observe-model.js';
import { weightSources } from './weight-sources.js';

export interface OutlierOptions extends RunOptions, Pick<WeightOptions, 'sigmas' | 'grids' | 'bins'> {
  readonly model: string;
  /** A second model (transformed, or quantized) to put beside the first. It is observed on the same tokens. */
  readonly compare?: string;
  /** What activations are observed on; text that the (first) model writes if absent. */
  readonly calibration?: RecipeInput['calibration'];
  readonly criteria?: Partial<OutlierCriteria>;
  /** Look at weights, and at activations; both if absent. */
  readonly weights?: boolean;
  readonly activations?: boolean;
  /** Channels that are listed per layer (8 if absent), and most points of a plot over channels (512). */
  readonly top?: number;
  readonly points?: number;
  readonly registry: Registry;
  readonly backend: Backend;
}

export interface OutlierResult extends OutlierReport {
  /** With `compare`: the second model's report, and what changed. */
  readonly comparison?: OutlierComparison;
  readonly seconds: number;
}

/** How much text when nothing is said: enough to see channels that are always large, in a fraction of what a calibration takes. */
const OF_TEXT = { samples: 32, length: 512 };

/** The same number of tokens in shorter pieces, which a model writes in less time. */
const OF_MODEL = { samples: 128, length: 128 };

/**
 * Looks for outliers in the weights of a model, and in its activations on a calibration text: channels, dimensions and massive activations. With `compare`, in two models.
 *
 * @throws CalibrantError for criteria out of range, for models or texts that cannot be read, for NaN and infinite values, and for a second model with another vocabulary.
 * @example
 * const { summary } = await analyzeOutliers({ model: './my-model', calibration: { source: 'file', path: 'notes.txt' }, registry, backend });
 */
export async function analyzeOutliers(options: OutlierOptions): Promise<OutlierResult> {
  const started = performance.now();
  const criteria = outlierCriteria(options.criteria);
  const first = await open(options.model, options);
  try {
    const text = options.activations === false ? undefined : await calibrationText(first.transformer, options);
    const report = await analyzeOne(options.model, first, criteria, text, options);
    const finish = (comparison?: OutlierComparison): OutlierResult => ({
      ...report,
      ...(comparison ? { comparison } : {}),
      seconds: (performance.now() - started) / 1000,
    });
    if (options.compare === undefined) return finish();
    const second = await open(options.compare, options);
    try {
      expectSameVocabulary(first.transformer, second.transformer, options);
      return finish(compareReports(report, await analyzeOne(options.compare, second, criteria, text, options)));
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
}

interface Opened {
  readonly checkpoint: Checkpoint;
  readonly transformer: Transformer;
  close(): Promise<void>;
}

async function open(model: string, options: OutlierOptions): Promise<Opened> {
  const checkpoint = await openModel(model, options);
  try {
    const transformer = openRegistered(checkpoint, options.backend, options.registry);
    return {
      checkpoint,
      transformer,
      async close() {
        await transformer.release();
        await checkpoint.close();
      },
    };
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

type Text = NonNullable<OutlierReport['calibration']> & { readonly ids: readonly Int32Array[] };

async function calibrationText(transformer: Transformer, options: OutlierOptions): Promise<Text> {
  const { maxPositions = Infinity } = transformer.description;
  const { samples, length } = (options.calibration?.source ?? 'self') === 'self' ? OF_MODEL : OF_TEXT;
  const { calibration } = parseRecipe({ calibration: { samples, length: Math.min(length, maxPositions), ...options.calibration } });
  const set = await calibrate(calibration, { ...options, transformer });
  const source = calibration?.path ?? set.summary.path ?? (set.source === 'random' ? 'random tokens' : 'text that the model wrote');
  return { source, sequences: set.sequences.length, tokens: set.tokens, ids: set.sequences };
}

async function analyzeOne(
  model: string,
  { checkpoint, transformer }: Opened,
  criteria: OutlierCriteria,
  text: Text | undefined,
  options: OutlierOptions,
): Promise<OutlierReport> {
  const { top = 8, points = 512 } = options;
  const weights = options.weights === false ? [] : await analyzeWeights(checkpoint, transformer, { ...options, top, points });
  const none: Observed = { inputs: [], hiddenStates: [], dimensionCounts: [], massive: [] };
  const observed = text ? await observeModel({ ...options, transformer, sequences: text.ids, criteria, top, points }) : none;
  const report: Omit<OutlierReport, 'summary'> = {
    version: 1,
    model,
    architecture: transformer.description.name,
    criteria,
    ...(text ? { calibration: { source: text.source, sequences: text.sequences, tokens: text.tokens } } : {}),
    weights,
    inputs: observed.inputs,
    hiddenStates: observed.hiddenStates,
    dimensions: outlierDimensions(observed.dimensionCounts, criteria),
    massive: massiveFigures(text ? await withTokens(observed.massive, text.ids, checkpoint) : []),
  };
  return { ...report, summary: summarize(report) };
}

async function analyzeWeights(checkpoint: Checkpoint, transformer: Transformer, options: OutlierOptions): Promise<WeightOutliers[]> {
  const sources = weightSources(checkpoint, transformer.description, options.backend);
  const found: WeightOutliers[] = [];
  for (const source of sources) {
    options.onEvent?.({ phase: 'Looking at weights', done: found.length, total: sources.length, unit: 'tensors', item: source.name });
    found.push(await analyzeWeight(options.backend, source, options));
  }
  options.onEvent?.({ phase: 'Looking at weights', done: sources.length, total: sources.length, unit: 'tensors' });
  return found;
}

/** Massive activations with the tokens at which they are, as text where the model has a tokenizer. */
async function withTokens(
  massive: readonly MassiveActivation[],
  ids: readonly Int32Array[],
  checkpoint: Checkpoint,
): Promise<MassiveActivation[]> {
  if (massive.length === 0) return [];
  const tokenizer = await openTokenizer(checkpoint).catch(() => undefined);
  return massive.map((activation) => {
    const tokenId = ids[activation.sequence][activation.position];
    return { ...activation, tokenId, ...(tokenizer ? { token: tokenizer.decode([tokenId]) } : {}) };
  });
}

function expectSameVocabulary(first: Transformer, second: Transformer, { model, compare }: OutlierOptions): void {
  const [a, b] = [first.description.vocabSize, second.description.vocabSize];
  if (a === b) return;
  throw new CalibrantError(
    'INVALID_ARGUMENT',
    `${model} has a vocabulary of ${a}, ${compare} of ${b}: they cannot be observed on the same tokens. Compare a model with what was made from it.`,
    { option: '--compare' },
  );
}
