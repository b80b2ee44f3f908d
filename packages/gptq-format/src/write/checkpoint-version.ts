import { CalibrantError, type PlannedTensor } from '@calibrant/core';
import type { GptqFormatOptions } from '../options.js';

/** `checkpoint_format`: `gptq` stores `zeroPoint − 1`, `gptq_v2` the zero point. */
export type CheckpointVersion = 'gptq' | 'gptq_v2';

/**
 * The version that a plan is stored in. Every reader knows v1, so symmetric grids, whose zero point is constant, go there; v1 cannot hold the zero point 0
 * of an asymmetric group (AutoGPTQ issue 640), so asymmetric grids go to v2.
 *
 * @throws CalibrantError `UNSUPPORTED` for an asymmetric grid that is forced into v1 without consent to shift zero points.
 */
export function checkpointVersion(plan: readonly PlannedTensor[], { version, shiftZeroPoints }: GptqFormatOptions): CheckpointVersion {
  const asymmetric = plan.find(({ scheme }) => scheme.kind === 'affine' && !scheme.symmetric);
  if (version === 'auto') return asymmetric ? 'gptq_v2' : 'gptq';
  if (version === 'gptq' && asymmetric && !shiftZeroPoints)
    throw new CalibrantError(
      'UNSUPPORTED',
      `GPTQ v1 stores zero points minus one, so it cannot hold the zero point 0, which groups without negative values have, and ${asymmetric.name} is on an asymmetric grid. Use a symmetric grid, leave the version to "auto" (v2), or allow such groups to move by one step with shiftZeroPoints.`,
      { tensor: asymmetric.name, option: 'format.version' },
    );
  return version;
}
