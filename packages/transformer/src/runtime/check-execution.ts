import {
  type ActivationGrid,
  activationSchemeName,
  CalibrantError,
  type ExecutionPlan,
  fakeQuantizeAttributes,
  nearest,
} from '@calibrant/core';
import { type ArchitectureDescription, linearSteps } from '../description.js';

/**
 * Checks that a plan names linear layers and blocks of the model, with grids that fit their channels and have their scales.
 *
 * @throws CalibrantError `INVALID_ARGUMENT`, `SHAPE_MISMATCH` or `UNSUPPORTED` naming the layer.
 */
export function checkExecution({ activations, keyValueCache }: ExecutionPlan, description: ArchitectureDescription): void {
  const { blocks, head } = description;
  const widths = new Map([...blocks.flatMap(linearSteps), head].map(({ weight }) => [weight.name, weight.shape[1]]));
  for (const [name, grid] of activations) {
    const width = widths.get(name);
    if (width === undefined) {
      const close = nearest(name, [...widths.keys()]);
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `The execution plan rounds the input of "${name}", which is no linear layer of the model.${close ? ` Did you mean "${close}"?` : ''}`,
        { tensor: name },
      );
    }
    checkGrid(grid, width, `the input of ${name}`, name);
  }
  for (const [index, { key, value }] of keyValueCache ?? []) {
    const step = blocks[index]?.find(({ op }) => op === 'attention');
    if (step?.op !== 'attention')
      throw new CalibrantError('INVALID_ARGUMENT', `The execution plan rounds keys and values of block ${index}, which has no attention.`);
    const { kvHeads, headDim } = step.attributes;
    for (const [what, grid] of [
      ['keys', key],
      ['values', value],
    ] as const) {
      const where = `the cached ${what} of block ${index}`;
      if (grid.scheme.granularity === 'tensor' && grid.scheme.dynamic)
        throw new CalibrantError(
          'UNSUPPORTED',
          `The grid ${activationSchemeName(grid.scheme)} cannot hold ${where}: a cache grows token by token, so its range is not known while it is filled. Use a static grid, or one per token or group.`,
        );
      checkGrid(grid, kvHeads * headDim, where);
    }
  }
}

function checkGrid(grid: ActivationGrid, width: number, where: string, tensor?: string): void {
  try {
    fakeQuantizeAttributes(grid, width);
  } catch (error) {
    if (!(error instanceof CalibrantError)) throw error;
    throw new CalibrantError(error.code, `The grid ${activationSchemeName(grid.scheme)} cannot hold ${where}: ${error.message}`, {
      ...(tensor === undefined ? {} : { tensor }),
      cause: error,
    });
  }
}
