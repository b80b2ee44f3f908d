import { CalibrantError } from '@calibrant/core';

/** Turns whatever the device or gpu.js threw into our error. `what` names the operation: `core.matmul`, `upload of f32 [2, 3]`. */
export function toCalibrantError(what: string, error: unknown): CalibrantError {
  if (CalibrantError.isInstance(error)) return error;
  const message = error instanceof Error || hasMessage(error) ? error.message : String(error);
  return new CalibrantError('INVALID_ARGUMENT', `${what} failed on the WebGPU device: ${message}`, { cause: error });
}

/**
 * Runs `body`, which must be synchronous (error scopes are a stack of the whole device), and resolves to what the device
 * found wrong with it: a validation error or a lack of memory. Never rejects.
 */
export function captureErrors(device: GPUDevice, what: string, body: () => void): Promise<CalibrantError | undefined> {
  device.pushErrorScope('out-of-memory');
  device.pushErrorScope('validation');
  let thrown: CalibrantError | undefined;
  try {
    body();
  } catch (error) {
    thrown = toCalibrantError(what, error);
  }
  const validation = device.popErrorScope();
  const memory = device.popErrorScope();
  return Promise.all([validation, memory]).then(
    ([invalid, exhausted]) => {
      if (thrown) return thrown;
      if (exhausted)
        return new CalibrantError('OUT_OF_MEMORY', `${what}: the WebGPU device is out of memory. Free buffers or work on smaller parts.`, {
          cause: exhausted,
        });
      return invalid ? toCalibrantError(what, invalid) : undefined;
    },
    (error) => thrown ?? toCalibrantError(what, error),
  );
}

/** Every failure reaches the caller of the operation; without a handler it would be printed as well. */
export function silence(device: GPUDevice): void {
  device.onuncapturederror = (event) => event.preventDefault();
}

function hasMessage(value: unknown): value is { message: string } {
  return typeof value === 'object' && value !== null && typeof (value as { message?: unknown }).message === 'string';
}
