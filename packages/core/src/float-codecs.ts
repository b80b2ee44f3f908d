/** Small float types held as bit patterns. */
export type CodedFloat = 'f16' | 'bf16' | 'f8_e4m3' | 'f8_e5m2';

interface Layout {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** E4M3FN has no infinities: the all-ones exponent is an ordinary one, and only S.1111.111 is NaN. */
  readonly finite?: boolean;
}

const LAYOUTS: Readonly<Record<CodedFloat, Layout>> = {
  f16: { exponentBits: 5, mantissaBits: 10 },
  bf16: { exponentBits: 8, mantissaBits: 7 },
  f8_e4m3: { exponentBits: 4, mantissaBits: 3, finite: true },
  f8_e5m2: { exponentBits: 5, mantissaBits: 2 },
};

/** The value of one bit pattern (IEEE 754 binary16, bfloat16, OCP 8-bit floating point specification 1.0). */
export function decodeOne(type: CodedFloat, pattern: number): number {
  const { exponentBits, mantissaBits, finite } = LAYOUTS[type];
  const bias = 2 ** (exponentBits - 1) - 1;
  const mantissa = pattern & (2 ** mantissaBits - 1);
  const exponent = (pattern >>> mantissaBits) & (2 ** exponentBits - 1);
  const sign = pattern >>> (exponentBits + mantissaBits) ? -1 : 1;
  const top = exponent === 2 ** exponentBits - 1;
  if (top && !finite) return mantissa ? NaN : sign * Infinity;
  if (top && mantissa === 2 ** mantissaBits - 1) return NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/**
 * The bit pattern nearest to a value, ties to even, straight from f64 (no double rounding). NaN becomes the quiet NaN with its sign lost;
 * values beyond the range become infinity, or NaN for E4M3 (which has no infinity).
 */
export function encodeOne(type: CodedFloat, value: number): number {
  const { exponentBits, mantissaBits, finite } = LAYOUTS[type];
  const bias = 2 ** (exponentBits - 1) - 1;
  const signBit = value < 0 || Object.is(value, -0) ? 2 ** (exponentBits + mantissaBits) : 0;
  const infinity = (2 ** exponentBits - 1) * 2 ** mantissaBits;
  const nan = finite ? infinity + 2 ** mantissaBits - 1 : infinity + 2 ** (mantissaBits - 1);
  if (Number.isNaN(value)) return nan;
  const magnitude = Math.abs(value);
  const overflow = signBit + (finite ? nan : infinity);
  if (magnitude === Infinity) return overflow;
  if (magnitude === 0) return signBit;
  let exponent = Math.max(1 - bias, floorLog2(magnitude));
  // In units of the last place: exact, since scaling by powers of two is.
  let units = roundEven(magnitude / 2 ** (exponent - mantissaBits));
  if (units === 2 ** (mantissaBits + 1)) {
    units /= 2;
    exponent++;
  }
  const pattern = units < 2 ** mantissaBits ? units : (exponent + bias) * 2 ** mantissaBits + (units - 2 ** mantissaBits);
  const largest = finite ? nan - 1 : infinity - 1;
  return pattern > largest ? overflow : signBit + pattern;
}

function floorLog2(x: number): number {
  const guess = Math.floor(Math.log2(x));
  if (2 ** guess > x) return guess - 1;
  return 2 ** (guess + 1) <= x ? guess + 1 : guess;
}

function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

const tables = new Map<CodedFloat, Float32Array>();

/** Every pattern's value. */
function table(type: CodedFloat): Float32Array {
  let found = tables.get(type);
  if (!found) {
    const { exponentBits, mantissaBits } = LAYOUTS[type];
    found = Float32Array.from({ length: 2 ** (1 + exponentBits + mantissaBits) }, (_, pattern) => decodeOne(type, pattern));
    tables.set(type, found);
  }
  return found;
}

export function decodeFloat(type: CodedFloat, patterns: Uint16Array | Uint8Array, out: Float32Array): void {
  if (type === 'bf16') {
    // bf16 is the upper half of f32; integer copies also keep the payload of NaNs.
    const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0; i < words.length; i++) words[i] = patterns[i] << 16;
    return;
  }
  const values = table(type);
  for (let i = 0; i < out.length; i++) out[i] = values[patterns[i]];
}

export function encodeFloat(type: CodedFloat, values: Float32Array | Float64Array, out: Uint16Array | Uint8Array): void {
  if (type === 'bf16' && values instanceof Float32Array) {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let i = 0; i < words.length; i++) {
      const word = words[i];
      const quiet = (word & 0x7fffffff) > 0x7f800000;
      out[i] = quiet ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
    }
    return;
  }
  if (values instanceof Float32Array) encodeSingles(type, values, out);
  else for (let i = 0; i < values.length; i++) out[i] = encodeOne(type, values[i]);
}

/** {@link encodeOne} on the bits of f32 numbers, with integers alone; for types whose smallest normal number is far above f32's subnormals. */
function encodeSingles(type: CodedFloat, values: Float32Array, out: Uint16Array | Uint8Array): void {
  const { exponentBits, mantissaBits, finite } = LAYOUTS[type];
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rebias = 2 ** (exponentBits - 1) - 128;
  const shift = 23 - mantissaBits;
  const infinity = (2 ** exponentBits - 1) << mantissaBits;
  const nan = finite ? infinity + 2 ** mantissaBits - 1 : infinity + 2 ** (mantissaBits - 1);
  const overflow = finite ? nan : infinity;
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const magnitude = word & 0x7fffffff;
    if (magnitude > 0x7f800000) {
      out[i] = nan;
      continue;
    }
    const exponent = (magnitude >>> 23) + rebias;
    // Below the normal numbers the leading one is written out and moves right; beyond 24 places nothing is left.
    const places = exponent >= 1 ? shift : Math.min(25, shift + 1 - exponent);
    const bits = exponent >= 1 ? magnitude + (rebias << 23) : (magnitude & 0x7fffff) | 0x800000;
    const rest = bits & ((1 << places) - 1);
    const half = 1 << (places - 1);
    let pattern = bits >>> places;
    if (rest > half || (rest === half && (pattern & 1) === 1)) pattern++;
    out[i] = (pattern >= overflow ? overflow : pattern) | ((word >>> 31) << (exponentBits + mantissaBits));
  }
}
