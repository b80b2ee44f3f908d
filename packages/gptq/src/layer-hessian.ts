import { type Backend, type BufferHandle, CalibrantError, type LinearLayer } from '@calibrant/core';

type Observed = Pick<LinearLayer, 'name' | 'weight' | 'observations'>;

/** @throws CalibrantError when a layer comes without a Hessian of its inputs. */
export function requireHessian({ name, weight, observations }: Observed): BufferHandle {
  const hessian = observations?.hessian;
  if (!hessian)
    throw new CalibrantError('INVALID_ARGUMENT', `GPTQ needs the Hessian of the inputs of "${name}": calibrate before quantizing.`, {
      tensor: name,
    });
  checkSquare('Hessian', hessian, name, weight);
  if (observations.deviation) checkSquare('deviation', observations.deviation, name, weight);
  return hessian;
}

function checkSquare(what: string, handle: BufferHandle, name: string, { shape: [, columns] }: BufferHandle): void {
  if (handle.dtype === 'f32' && handle.shape.length === 2 && handle.shape.every((size) => size === columns)) return;
  throw new CalibrantError(
    'SHAPE_MISMATCH',
    `The ${what} of "${name}" must be f32 [${columns}, ${columns}], found ${handle.dtype} [${handle.shape.join(', ')}].`,
    { tensor: name },
  );
}

/**
 * Why a layer cannot be calibrated: an expert to which too few tokens were routed would be fitted to those few. Undefined when enough reached it.
 */
export function tooFewTokens({ observations }: Observed, leastShare: number): string | undefined {
  const { tokens = 0, calibrationTokens = tokens } = observations ?? {};
  if (tokens >= leastShare * calibrationTokens) return undefined;
  return `${tokens} of ${calibrationTokens} calibration tokens reached it, less than ${Number((100 * leastShare).toFixed(3))} % (leastTokenShare)`;
}

/** A Hessian that was collected on one lane would keep all work on that lane. */
export async function withSharedCopy<Result>(
  backend: Backend,
  handle: BufferHandle,
  body: (shared: BufferHandle) => Promise<Result>,
): Promise<Result> {
  if (handle.lane === undefined) return body(handle);
  const shared = backend.share(handle);
  return body(shared).finally(() => backend.free(shared));
}
