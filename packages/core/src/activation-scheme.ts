import { CalibrantError } from './errors.js';

/**
 * The grid on which values that flow through a model (inputs of linear layers, cached keys and values) are rounded.
 *
 * `int`: `x ≈ scale · (code − zeroPoint)` with codes `0 … 2^bits − 1`; symmetric grids have the zero point `2^(bits−1)`. `float`: OCP E4M3 values times
 * a scale.
 * Granularity `tensor` has one scale for all, `token` one per row, `group` one per `groupSize` channels of a row.
 */
export interface ActivationScheme {
  readonly type: 'int' | 'float';
  /** 4 to 8 for `int`, 8 for `float`. */
  readonly bits: number;
  readonly granularity: 'tensor' | 'token' | 'group';
  /** Channels per group; set when granularity is `group`. */
  readonly groupSize?: number;
  readonly symmetric: boolean;
  /** Whether scales come from the values themselves at run time; otherwise from calibration (granularity `tensor` alone). */
  readonly dynamic: boolean;
}

/** A grid with what calibration found for it: set when the scheme is static. */
export interface ActivationGrid {
  readonly scheme: ActivationScheme;
  readonly scale?: number;
  /** Among codes that begin at 0; set when the scheme is asymmetric too. */
  readonly zeroPoint?: number;
}

/** How a model is meant to be run apart from its weights. */
export interface ExecutionPlan {
  /** Grids of the inputs of linear layers, by the name of the weight. */
  readonly activations: ReadonlyMap<string, ActivationGrid>;
  /** Grids of cached keys and values, by the index of the block. */
  readonly keyValueCache?: ReadonlyMap<number, { readonly key: ActivationGrid; readonly value: ActivationGrid }>;
}

const FORM =
  'Names look like int8-token (dynamic, one scale per token), int8-tensor-static, int8-tensor-asym, int4-g128, fp8-token, fp8-tensor-static.';

/**
 * Reads an activation grid's name: `int8-token`, `int8-tensor-static`, `int4-g128-asym`, `fp8-token`, `fp8-tensor-static`. Symmetric unless it says
 * `asym`, dynamic unless it says `static`, per token unless it says otherwise.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for a name that is none, `UNSUPPORTED` for what cannot be (static scales of tokens, asymmetric floats).
 */
export function parseActivationScheme(name: string): ActivationScheme {
  const match = /^(int|fp)(\d+)(?:-(tensor|token|g(\d+)))?(?:-(sym|asym))?(?:-(static|dynamic))?$/i.exec(name);
  if (!match) throw new CalibrantError('INVALID_ARGUMENT', `"${name}" is no activation grid. ${FORM}`, { option: 'activations' });
  const refuse = (why: string) =>
    new CalibrantError('UNSUPPORTED', `The activation grid "${name}" cannot be: ${why}. ${FORM}`, { option: 'activations' });
  const type = match[1].toLowerCase() === 'fp' ? 'float' : 'int';
  const bits = Number(match[2]);
  const groupSize = match[4] === undefined ? undefined : Number(match[4]);
  const granularity = groupSize !== undefined ? 'group' : match[3]?.toLowerCase() === 'tensor' ? 'tensor' : 'token';
  const symmetric = match[5]?.toLowerCase() !== 'asym';
  const dynamic = match[6]?.toLowerCase() !== 'static';
  if (type === 'float' && bits !== 8) throw refuse('floats have 8 bits');
  if (type === 'int' && (bits < 2 || bits > 8)) throw refuse('integers have 2 to 8 bits');
  if (type === 'float' && !symmetric) throw refuse('floats have no zero point');
  if (!dynamic && granularity !== 'tensor') throw refuse('static scales are known for whole tensors alone');
  if (groupSize === 0) throw refuse('the group size must be positive');
  return { type, bits, granularity, ...(groupSize === undefined ? {} : { groupSize }), symmetric, dynamic };
}

/** The name of an activation grid, the inverse of {@link parseActivationScheme}. */
export function activationSchemeName({ type, bits, granularity, groupSize, symmetric, dynamic }: ActivationScheme): string {
  const unit = granularity === 'group' ? `g${groupSize}` : granularity;
  return `${type === 'float' ? 'fp' : 'int'}${bits}-${unit}${symmetric ? '' : '-asym'}${dynamic ? '' : '-static'}`;
}
