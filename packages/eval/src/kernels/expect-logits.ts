import { CalibrantError, describeSpec, type TensorSpec } from '@calibrant/core';

/** @throws CalibrantError `SHAPE_MISMATCH` unless the operand is f32 `[tokens, vocabulary]`. */
export function expectLogits(operation: string, operand: string, spec: TensorSpec): void {
  if (spec.dtype !== 'f32' || spec.shape.length !== 2 || spec.shape[1] < 1)
    throw new CalibrantError('SHAPE_MISMATCH', `${operation}: ${operand} must be f32 [tokens, vocabulary], found ${describeSpec(spec)}.`);
}

/** @throws CalibrantError `SHAPE_MISMATCH` unless there is one i32 target for each row of logits. */
export function expectTargets(operation: string, logits: TensorSpec, targets: TensorSpec): void {
  if (targets.dtype !== 'i32' || targets.shape.length !== 1 || targets.shape[0] !== logits.shape[0])
    throw new CalibrantError('SHAPE_MISMATCH', `${operation}: targets must be i32 [${logits.shape[0]}], found ${describeSpec(targets)}.`);
}

/** @throws CalibrantError `SHAPE_MISMATCH` unless both are logits of one shape. */
export function expectPair(operation: string, base: TensorSpec, quantized: TensorSpec): void {
  expectLogits(operation, 'base', base);
  expectLogits(operation, 'quantized', quantized);
  if (base.shape[0] !== quantized.shape[0] || base.shape[1] !== quantized.shape[1])
    throw new CalibrantError(
      'SHAPE_MISMATCH',
      `${operation}: both logits must have one shape, found ${describeSpec(base)} and ${describeSpec(quantized)}.`,
    );
}
