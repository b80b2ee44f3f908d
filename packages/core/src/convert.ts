import { type DType, dtypeInfo } from './dtype.js';
import { CalibrantError } from './errors.js';
import { decodeFloat, encodeFloat } from './float-codecs.js';
import { type Tensor, tensor } from './tensor.js';

/** The values as f32 (exact for f16, bf16, fp8 and integers up to 2^24; f64 and larger integers round to nearest even). */
export function toF32(value: Tensor): Float32Array {
  if (value.dtype === 'f32') return value.data as Float32Array;
  const out = new Float32Array(value.data.length);
  if (isCoded(value.dtype)) decodeFloat(value.dtype, value.data as Uint16Array | Uint8Array, out);
  else for (let i = 0; i < out.length; i++) out[i] = Number(value.data[i]);
  return out;
}

/** Converts to another float type, rounding to nearest even once (64-bit integers beyond 2^53 go by way of f64). @throws CalibrantError `UNSUPPORTED` for integer targets. */
export function toDtype(value: Tensor, to: DType): Tensor {
  if (value.dtype === to) return value;
  if (!dtypeInfo(to).float)
    throw new CalibrantError('UNSUPPORTED', `Cannot convert ${value.dtype} to ${to}: only float types are targets.`);
  if (to === 'f32') return tensor('f32', value.shape, toF32(value));
  // Integers go by way of f64: f32 would round the larger ones a first time.
  const source =
    value.dtype === 'f64' || value.dtype === 'f32' || isCoded(value.dtype) ? floats(value) : Float64Array.from(value.data, Number);
  if (to === 'f64') return tensor('f64', value.shape, Float64Array.from(source));
  const out = tensor(to, value.shape);
  encodeFloat(to as 'f16', source, out.data as Uint16Array);
  return out;
}

function floats(value: Tensor): Float32Array | Float64Array {
  return value.dtype === 'f64' ? (value.data as Float64Array) : toF32(value);
}

type Coded = 'f16' | 'bf16' | 'f8_e4m3' | 'f8_e5m2';
function isCoded(dtype: DType): dtype is Coded {
  return dtype === 'f16' || dtype === 'bf16' || dtype === 'f8_e4m3' || dtype === 'f8_e5m2';
}
