import { CalibrantError, type PlannedTensor } from '@calibrant/core';

/**
 * Refuses grids for linear layers that the checkpoint stores as `[in, out]` (GPT-2's Conv1D) where the format does not turn them:
 * groups would run along the outputs, and no reader of the format expects that.
 */
export function checkOrientation(
  plan: readonly PlannedTensor[],
  stored: readonly { readonly name: string; readonly transposed?: boolean }[],
): void {
  const turned = new Set(stored.filter(({ transposed }) => transposed).map(({ name }) => name));
  const misfit = plan.find(
    ({ scheme, source, transposed }) => scheme.kind !== 'float' && !transposed && source !== undefined && turned.has(source),
  );
  if (!misfit) return;
  throw new CalibrantError(
    'UNSUPPORTED',
    `The checkpoint stores ${misfit.source} as [in, out], which this format keeps, so that groups would run along its outputs. Use --format gguf for this architecture.`,
    { tensor: misfit.source as string, option: 'recipe.format' },
  );
}
