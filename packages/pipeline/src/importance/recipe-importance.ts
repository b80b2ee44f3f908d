import path from 'node:path';
import type {
  Format,
  FormatInput,
  ImportanceMatrix,
  ImportanceOrigin,
  OutputTensor,
  PlannedTensor,
  Recipe,
  RunOptions,
} from '@calibrant/core';
import type { Transformer } from '@calibrant/transformer';
import { calibrate } from '../run/calibration.js';
import { collectImportance } from '../run/collect-importance.js';
import { importanceOfStatistics, isStatisticsFile } from '../statistics/statistics-importance.js';
import { checkCoverage, checkImportance } from './check-importance.js';
import { namedEntries, sourcesOf } from './named-entries.js';
import { readImportance } from './read-importance.js';
import { warnOfGaps } from './warn-of-gaps.js';

/** The importance matrix that a recipe asks for. */
export interface RecipeImportance {
  /** The output's tensors that it covers, known before anything is computed. */
  readonly covered: ReadonlySet<string>;
  /** Checks it against the plan as far as is possible without computing. */
  check(plan: readonly PlannedTensor[]): void;
  /** The matrix, computed at the first call when it comes from a text. */
  matrix(plan: readonly PlannedTensor[]): Promise<{ readonly matrix: ImportanceMatrix; readonly origin: ImportanceOrigin }>;
}

/** Opens the recipe's importance; undefined when it asks for none. Refuses plans that need importance without one by {@link checkCoverage}. */
export async function openImportance(
  recipe: Recipe,
  format: Format,
  formatOptions: unknown,
  input: FormatInput,
  transformer: Transformer,
  run: RunOptions,
): Promise<RecipeImportance | undefined> {
  const { importance } = recipe;
  if (!importance) return undefined;
  const { linears } = input.facts;
  const coverage = (plan: readonly PlannedTensor[], covered: ReadonlySet<string>) => checkCoverage(plan, covered, recipe.scheme.name);
  if ('file' in importance) {
    const matrix = (await isStatisticsFile(importance.file))
      ? await importanceOfStatistics(importance.file, input, transformer, await format.outputs(input, formatOptions))
      : await readImportance(importance.file, format);
    const covered = new Set(matrix.entries.keys());
    const origin = originOf(path.basename(importance.file), matrix);
    return {
      covered,
      check(plan) {
        coverage(plan, covered);
        checkImportance(matrix, plan, linears, importance.file, run);
        warnOfGaps(matrix, run);
      },
      matrix: async () => ({ matrix, origin }),
    };
  }
  const outputs = await format.outputs(input, formatOptions);
  const isLinear = (output: OutputTensor) => sourcesOf(output).length > 0 && sourcesOf(output).every((source) => linears.has(source));
  const covered = new Set(outputs.filter(isLinear).map(({ name }) => name));
  const compute = async (plan: readonly PlannedTensor[]) => {
    const matrix = await computeMatrix(importance.calibration, outputs, { transformer, ...run });
    checkImportance(matrix, plan, linears, 'computed', run);
    return { matrix, origin: originOf('computed', matrix) };
  };
  let computed: ReturnType<typeof compute> | undefined;
  return {
    covered,
    check: (plan) => coverage(plan, covered),
    matrix(plan) {
      computed ??= compute(plan);
      return computed;
    },
  };
}

/** Runs the model on a calibration set and gives what it sees under the output's names. Warns of experts and channels that the text never reached. */
export async function computeMatrix(
  calibration: Recipe['calibration'],
  outputs: readonly OutputTensor[],
  input: { readonly transformer: Transformer; readonly output?: boolean } & RunOptions,
): Promise<ImportanceMatrix> {
  const set = await calibrate(calibration, input);
  const entries = await collectImportance({ ...input, sequences: set.sequences });
  const matrix: ImportanceMatrix = {
    entries: namedEntries(entries, outputs),
    datasets: [set.summary.path ?? set.source],
    chunks: set.sequences.length,
    chunkSize: Math.max(...set.sequences.map(({ length }) => length)),
  };
  warnOfGaps(matrix, input);
  return matrix;
}

function originOf(file: string, { entries, datasets, chunks }: ImportanceMatrix): ImportanceOrigin {
  return { file, ...(datasets[0] === undefined ? {} : { dataset: datasets[0] }), entries: entries.size, chunks };
}
