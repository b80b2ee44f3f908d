import { countsPerExpert, meanImportance } from '@calibrant/calibrators';
import { CalibrantError, type ImportanceMatrix, type PlannedTensor, type RunOptions } from '@calibrant/core';
import { expertsOf } from '../run/importance-buffers.js';
import { sourcesOf } from './named-entries.js';

/**
 * Checks before any work that what needs importance has it, and that importance is of use.
 *
 * @param covered names of the tensors that have an entry, undefined without an importance matrix
 */
export function checkCoverage(plan: readonly PlannedTensor[], covered: ReadonlySet<string> | undefined, recipe: string): void {
  const blocks = plan.filter(({ scheme }) => scheme.kind === 'block');
  const lacking = blocks.filter(({ scheme, name }) => scheme.kind === 'block' && scheme.needsImportance && !covered?.has(name));
  if (lacking.length > 0) {
    const types = [...new Set(lacking.map(({ scheme }) => (scheme.kind === 'block' ? scheme.type : '')))];
    throw new CalibrantError(
      'INVALID_RECIPE',
      `The scheme ${recipe} stores ${lacking.length} tensors as ${types.join(', ')}, which cannot be rounded well without an importance matrix${covered ? ', and the one given does not cover them' : ''}: ${names(lacking.map(({ name }) => name))}. Give one with --imatrix FILE, or let it be computed with --imatrix self or a text.`,
      { option: 'recipe.importance', tensor: lacking[0].name },
    );
  }
  if (!covered) return;
  if (blocks.length === 0)
    throw new CalibrantError(
      'INVALID_RECIPE',
      `An importance matrix is used by GGUF's block types such as Q4_K alone; the scheme ${recipe} has none. Leave out --imatrix, or choose another scheme.`,
      { option: 'recipe.importance' },
    );
}

/**
 * Checks a matrix against the plan: every entry that is used has the tensor's size and finite values. Warns about tensors without an entry.
 *
 * @throws CalibrantError `SHAPE_MISMATCH` or `NON_FINITE` naming the tensor; `INVALID_ARGUMENT` when no entry is of this model.
 */
export function checkImportance(
  matrix: ImportanceMatrix,
  plan: readonly PlannedTensor[],
  linears: ReadonlySet<string>,
  file: string,
  { onEvent }: RunOptions,
): void {
  const blocks = plan.filter(({ scheme }) => scheme.kind === 'block');
  const missing: string[] = [];
  let inBlocks = 0;
  for (const planned of blocks) {
    const { name, shape } = planned;
    const found = matrix.entries.get(name);
    const linear = sourcesOf(planned).some((source) => linears.has(source));
    if (linear) inBlocks++;
    if (!found) {
      // The embedding and a tied output have no inputs to observe.
      if (linear) missing.push(name);
      continue;
    }
    const experts = expertsOf(shape);
    const columns = shape.at(-1) ?? 1;
    const entry = countsPerExpert(found, experts);
    if (entry.counts.length !== experts || entry.sums.length !== experts * columns)
      throw new CalibrantError(
        'SHAPE_MISMATCH',
        `The importance matrix ${file} has ${entry.sums.length} values for ${entry.counts.length} experts of ${name}, which has ${columns} input channels${experts > 1 ? ` and ${experts} experts` : ''}: it is of another model.`,
        { tensor: name, file },
      );
    for (let expert = 0; expert < experts; expert++) meanImportance(name, entry, expert);
  }
  if (blocks.length > 0 && !blocks.some(({ name }) => matrix.entries.has(name)))
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `The importance matrix ${file} covers none of the ${blocks.length} tensors to quantize; its names look like ${[...matrix.entries.keys()][0] ?? 'nothing'}. It is of another model.`,
      { file, option: 'recipe.importance' },
    );
  if (missing.length > 0)
    onEvent?.({
      warning: `The importance matrix covers ${inBlocks - missing.length} of the ${inBlocks} linear layers to quantize; without: ${names(missing)}. They are rounded without weights.`,
      item: 'importance',
    });
}

function names(all: readonly string[]): string {
  return all.length <= 4 ? all.join(', ') : `${all.slice(0, 4).join(', ')} and ${all.length - 4} more`;
}
