import { CalibrantError } from '../errors.js';
import { describeSpec, type TensorSpec } from '../tensor.js';

/** Throws `SHAPE_MISMATCH` naming the operation, the operand and what was found. */
export function expectShape(
  operation: string,
  operand: string,
  spec: TensorSpec | undefined,
  expected: readonly (number | undefined)[],
): void {
  const fits =
    spec !== undefined &&
    spec.shape.length === expected.length &&
    expected.every((size, i) => size === undefined || size === spec.shape[i]);
  if (!fits)
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `${operation}: ${operand} must have shape [${expected.map((size) => size ?? '?').join(', ')}], found ${spec ? describeSpec(spec) : 'nothing'}.`,
    );
}

export function expectDtype(operation: string, operand: string, spec: TensorSpec, ...allowed: readonly string[]): void {
  if (!allowed.includes(spec.dtype))
    throw new CalibrantError('SHAPE_MISMATCH', `${operation}: ${operand} must be ${allowed.join(' or ')}, found ${describeSpec(spec)}.`);
}
