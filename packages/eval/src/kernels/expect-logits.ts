import { CalibrantError, describeSpec, type TensorSpec } from '@calibrant/core';

/** @throws CalibrantError `SHAPE_MISMATCH` unless the operand is f32 `[tokens, vocabulary]`. */
export function expectLogits(operation: string, operand: string, spec: TensorSpec): void {
  if (spec.dtype !== 'f32' || spec.shape.length !== 2 || spec.shape[1] < 1)
    throw new CalibrantError('SHAPE_MISMATCH', `${operation}: ${operand} must be f32 [tokens, vocabulary], found ${describeSpec(spec)}.`);
}
