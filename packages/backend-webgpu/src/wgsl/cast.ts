import type { DType } from '@calibrant/core';
import { LINEAR_MAIN, linearGroups, uniformWords } from './linear-index.js';

/** How an element type lies in 32-bit words. */
interface Layout {
  readonly perWord: number;
  /** WGSL: the element in `word` at bit `shift`, as f32. */
  readonly decode: string;
  /** WGSL: the f32 `value` as the low bits of a word. */
  readonly encode: string;
}

const LAYOUTS: Partial<Record<DType, Layout>> = {
  u8: { perWord: 4, decode: 'f32(extractBits(word, shift, 8u))', encode: 'u32(clamp(value, 0.0, 255.0))' },
  bool: { perWord: 4, decode: 'f32(extractBits(word, shift, 8u))', encode: 'u32(value != 0.0)' },
  i8: { perWord: 4, decode: 'f32(extractBits(bitcast<i32>(word), shift, 8u))', encode: '(bitcast<u32>(i32(value)) & 0xffu)' },
  u16: { perWord: 2, decode: 'f32(extractBits(word, shift, 16u))', encode: 'u32(clamp(value, 0.0, 65535.0))' },
  i16: { perWord: 2, decode: 'f32(extractBits(bitcast<i32>(word), shift, 16u))', encode: '(bitcast<u32>(i32(value)) & 0xffffu)' },
  f16: { perWord: 2, decode: 'unpack2x16float(extractBits(word, shift, 16u)).x', encode: 'pack2x16float(vec2f(value, 0.0))' },
  bf16: { perWord: 2, decode: 'bitcast<f32>(extractBits(word, shift, 16u) << 16u)', encode: '0u' },
  i32: { perWord: 1, decode: 'f32(bitcast<i32>(word))', encode: 'bitcast<u32>(i32(value))' },
  u32: { perWord: 1, decode: 'f32(word)', encode: 'u32(value)' },
};

export interface Cast {
  readonly code: string;
  readonly workgroups: readonly [number, number, number];
  readonly uniforms: ArrayBuffer;
}

/** Whether gpu.js, whose arrays are all f32, can take or give this type (integers exactly up to 2^24). */
export function castable(dtype: DType, direction: 'in' | 'out'): boolean {
  return dtype === 'f32' || (LAYOUTS[dtype] !== undefined && !(direction === 'out' && dtype === 'bf16'));
}

/** `count` elements of `dtype` to f32, one invocation per element. */
export function castToF32(dtype: DType, count: number): Cast {
  const { perWord, decode } = LAYOUTS[dtype] as Layout;
  return {
    code: `@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_: array<f32>;
@group(0) @binding(2) var<uniform> size: vec4u;
${LINEAR_MAIN}
  if (i >= size.x) { return; }
  let word = source[i / ${perWord}u];
  let shift = (i % ${perWord}u) * ${32 / perWord}u;
  target_[i] = ${decode};
}`,
    workgroups: linearGroups(count),
    uniforms: uniformWords([count]),
  };
}

/** `count` f32 to elements of `dtype`, one invocation per word; fractions are cut off. */
export function castFromF32(dtype: DType, count: number): Cast {
  const { perWord, encode } = LAYOUTS[dtype] as Layout;
  const words = Math.ceil(count / perWord);
  return {
    code: `@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> target_: array<u32>;
@group(0) @binding(2) var<uniform> size: vec4u;
${LINEAR_MAIN}
  if (i >= size.y) { return; }
  var word = 0u;
  for (var j = 0u; j < ${perWord}u; j++) {
    let at = i * ${perWord}u + j;
    if (at < size.x) {
      let value = source[at];
      word |= ${encode} << (j * ${32 / perWord}u);
    }
  }
  target_[i] = word;
}`,
    workgroups: linearGroups(words),
    uniforms: uniformWords([count, words]),
  };
}
