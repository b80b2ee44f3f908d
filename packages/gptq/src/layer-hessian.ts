import { type Backend, type BufferHandle, CalibrantError, type LinearLayer } from '@calibrant/core';
import type { ResolvedGptqOptions } from './options.js';

type Observed = Pick<LinearLayer, 'name' | 'weight' | 'observations'>;

/** @throws CalibrantError when a layer comes without a Hessian of its inputs. */
function requireHessian({ name, weight, observations }: Observed): BufferHandle {
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

/** The Hessian that a layer is quantized with. */
export interface ChosenHessian {
  readonly hessian: BufferHandle;
  /** The deviation that goes with it. */
  readonly deviation: BufferHandle | undefined;
  /** Whether it is that of all experts' tokens. */
  readonly ofAllExperts: boolean;
  /** Why the layer must do without one. */
  readonly useless?: string | undefined;
}

/**
 * Runs `body` with the Hessian of a layer, or with that of all experts where too few tokens were routed to this one: it would be fitted to those few.
 *
 * @throws CalibrantError when a layer comes without a Hessian of its inputs.
 */
export async function withHessian<Result>(
  backend: Backend,
  layer: Observed,
  options: ResolvedGptqOptions,
  warn: (message: string) => void,
  body: (chosen: ChosenHessian) => Promise<Result>,
): Promise<Result> {
  const own = requireHessian(layer);
  const { ofAllExperts, deviation } = layer.observations ?? {};
  const few = tooFewTokens(layer, options);
  const compared = options.asymmetricCalibration ? deviation : undefined;
  if (few === undefined || options.fewTokensFallback === 'rtn' || !ofAllExperts)
    return withSharedCopy(backend, own, (hessian) => body({ hessian, deviation: compared, ofAllExperts: false, useless: few }));
  warn(`GPTQ calibrated "${layer.name}" on the tokens of all experts: ${few}.`);
  const sum = ofAllExperts();
  return withSharedCopy(backend, sum, (hessian) => body({ hessian, deviation: undefined, ofAllExperts: true })).finally(() =>
    backend.free(sum),
  );
}

/** Why a layer cannot be calibrated by itself: an expert to which too few tokens were routed. Undefined when enough reached it. */
function tooFewTokens({ observations }: Observed, { leastTokenShare, leastTokens }: ResolvedGptqOptions): string | undefined {
  const { tokens = 0, calibrationTokens = tokens } = observations ?? {};
  if (tokens >= leastTokenShare * calibrationTokens && tokens >= leastTokens) return undefined;
  const asked =
    leastTokens > leastTokenShare * calibrationTokens
      ? `${leastTokens} (leastTokens)`
      : `${Number((100 * leastTokenShare).toFixed(3))} % (leastTokenShare)`;
  return `${tokens} of ${calibrationTokens} calibration tokens reached it, less than ${asked}`;
}

/** A Hessian that was collected on one lane would keep all work on that lane. */
async function withSharedCopy<Result>(
  backend: Backend,
  handle: BufferHandle,
  body: (shared: BufferHandle) => Promise<Result>,
): Promise<Result> {
  if (handle.lane === undefined) return body(handle);
  const shared = backend.share(handle);
  return body(shared).finally(() => backend.free(shared));
}
