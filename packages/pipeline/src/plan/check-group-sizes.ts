import { CalibrantError, type PlannedTensor } from '@calibrant/core';

/** Refuses group sizes that do not divide the rows, naming the tensors and the sizes that would fit. */
export function checkGroupSizes(plan: readonly PlannedTensor[]): void {
  const misfits = plan.filter(
    ({ scheme, shape }) => scheme.kind === 'affine' && scheme.granularity === 'group' && shape[1] % (scheme.groupSize ?? 1) !== 0,
  );
  if (misfits.length === 0) return;
  const groupSize = misfits[0].scheme.kind === 'affine' ? (misfits[0].scheme.groupSize ?? 0) : 0;
  const common = plan.filter(({ scheme }) => scheme.kind === 'affine').reduce((divisor, { shape }) => gcd(divisor, shape[1]), 0);
  const fitting = [16, 32, 64, 96, 128, 192, 256, 512, 1024].filter((size) => common % size === 0);
  const names = misfits.slice(0, 5).map(({ source, name, shape }) => `${source ?? name} (${shape[1]} inputs)`);
  throw new CalibrantError(
    'INVALID_ARGUMENT',
    `The group size ${groupSize} does not divide the rows of ${misfits.length} tensor${misfits.length === 1 ? '' : 's'}: ${names.join(', ')}${misfits.length > 5 ? `, and ${misfits.length - 5} more` : ''}. ` +
      `${fitting.length > 0 ? `Group sizes that fit every quantized tensor: ${fitting.join(', ')}.` : `No common group size fits (the rows' greatest common divisor is ${common}): use one scale per row (int4-channel-sym), or overrides for these tensors.`}`,
    { option: 'groupSize', tensor: misfits[0].source ?? misfits[0].name },
  );
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
