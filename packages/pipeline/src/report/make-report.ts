import path from 'node:path';
import { type Backend, type Checkpoint, elementCount, type Registry, type RunOptions } from '@calibrant/core';
import type { QualityFigures, ReportData, RunFigures } from '@calibrant/report';
import { cutText } from '../evaluate/cut-text.js';
import { type EvaluateOptions, evaluateModel } from '../evaluate/evaluate-model.js';
import { type OpenedModel, withModels } from '../evaluate/open-models.js';
import { readText } from '../evaluate/read-text.js';
import { referenceKind } from '../open-model.js';
import { referenceName } from '../reference-name.js';
import { measureChannels } from './measure-channels.js';
import { measureLayers } from './measure-layers.js';
import { measureRanges } from './measure-ranges.js';
import { qualityFigures } from './quality-figures.js';
import { readProvenance } from './read-provenance.js';
import { taskFigures } from './task-figures.js';

export interface ReportOptions
  extends RunOptions,
    Pick<
      EvaluateOptions,
      | 'protocol'
      | 'maxWindows'
      | 'windowSize'
      | 'execution'
      | 'tasks'
      | 'limit'
      | 'shots'
      | 'shotsFrom'
      | 'maxTokens'
      | 'needle'
      | 'drift'
      | 'seed'
    > {
  /** The quantized model. */
  readonly model: string;
  /** The full-precision model that it was made from. */
  readonly base: string;
  /** Path of a UTF-8 text that neither was calibrated on. */
  readonly text: string;
  /** Windows of the text on which layers are compared; 8 if absent. */
  readonly layerWindows?: number;
  /** Earlier runs to show in the plot of size against quality. */
  readonly others?: readonly RunFigures[];
  readonly registry: Registry;
  readonly backend: Backend;
}

const LAYER_WINDOWS = 8;

/**
 * Measures a quantized model against its full-precision self: predictions on a text, confidence, and every layer. What `renderHtml`, `modelCard` and `advise` of
 * `@calibrant/report` work on.
 *
 * @throws CalibrantError what `evaluateModel` throws.
 * @example
 * const data = await makeReport({ model: './my-model-q4', base: './my-model', text: 'held-out.txt', registry, backend });
 * await writeFile('report.html', renderHtml(data));
 */
export async function makeReport(options: ReportOptions): Promise<ReportData> {
  const evaluation = await evaluateModel(options);
  const quality = qualityFigures(evaluation);
  return withModels([options.model, options.base], options, async (model, base) => {
    const layers = await compareLayers(options, base!, model!);
    const { provenance } = evaluation;
    const data: ReportData = {
      schema: 'calibrant-report/v1',
      model: {
        name: path.basename(options.model),
        base: (await referenceKind(options.base)) === undefined ? options.base : referenceName(options.base),
        architecture: base!.transformer.description.name,
        parameters: parametersOf(base!.checkpoint),
        ...(provenance.base?.sha256 ? { baseSha256: provenance.base.sha256 } : {}),
        files: provenance.model.files.map((file) => ({ ...file, name: path.basename(file.name) })),
      },
      size: sizes(model!.checkpoint, base!.checkpoint),
      made: provenance.finished,
      seed: provenance.seed,
      versions: provenance.versions,
      ...(await readProvenance(options.model)),
      ...(quality ? { quality: withoutFolders(quality) } : {}),
      ...(evaluation.execution ? { execution: evaluation.execution } : {}),
      ...taskFigures(evaluation),
      ...layers,
    };
    return options.others && options.others.length > 0 ? { ...data, runs: [...options.others, hereOf(data)] } : data;
  });
}

async function compareLayers(
  options: ReportOptions,
  base: OpenedModel,
  model: OpenedModel,
): Promise<Pick<ReportData, 'layers' | 'drift' | 'channels' | 'ranges'>> {
  const { windows } = cutText(await readText(options.text), base.tokenizer, options);
  const sequences = windows.windows.slice(0, Math.min(options.layerWindows ?? LAYER_WINDOWS, options.maxWindows ?? Infinity));
  const { backend, onEvent, signal } = options;
  const run = {
    base: base.transformer,
    quantized: model.transformer,
    sequences,
    ...(onEvent ? { onEvent } : {}),
    ...(signal ? { signal } : {}),
  };
  const layers = await measureLayers({ ...run, backend });
  return { ...layers, channels: await measureChannels(run), ranges: await measureRanges({ ...run, registry: options.registry }) };
}

function sizes(model: Checkpoint, base: Checkpoint): ReportData['size'] {
  const [bytes, baseBytes] = [bytesOf(model), bytesOf(base)];
  return {
    bytes,
    bitsPerWeight: (8 * bytes) / parametersOf(model),
    baseBytes,
    baseBitsPerWeight: (8 * baseBytes) / parametersOf(base),
  };
}

function bytesOf({ tensors }: Checkpoint): number {
  return [...tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
}

function parametersOf({ tensors }: Checkpoint): number {
  return [...tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

function hereOf({ model, size, quality }: ReportData): RunFigures {
  return {
    name: model.name,
    ...size,
    here: true,
    ...(quality ? { perplexity: quality.perplexity } : {}),
    ...(quality?.divergence ? { meanKl: quality.divergence.mean, sameTop: quality.divergence.sameTop } : {}),
  };
}

/** A report is passed on: it names files, not the folders of the machine that made it. */
function withoutFolders(quality: QualityFigures): QualityFigures {
  return { ...quality, text: { ...quality.text, name: path.basename(quality.text.name) } };
}
