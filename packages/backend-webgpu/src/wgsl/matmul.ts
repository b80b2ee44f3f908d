import { type MatmulAttributes, matmulSizes, type TensorSpec } from '@calibrant/core';
import type { NativeVariant } from '../dispatch.js';
import { type GemmShape, gemmCode, gemmWorkgroupBytes, TILE } from './gemm.js';
import { SMALL_TILE, smallGemmCode } from './small-gemm.js';

type Specs = Partial<Record<string, TensorSpec>>;

interface Call {
  readonly a: TensorSpec;
  readonly b: TensorSpec;
  readonly c: TensorSpec | undefined;
  readonly attributes: MatmulAttributes;
  readonly upper: boolean;
}

/** Whether tiles of 128 would leave most of their threads idle. */
const isSmall = (m: number, n: number): boolean => Math.min(m, n) <= 64;

function variant(
  operands: readonly string[],
  describe: (specs: Specs, attributes: unknown) => Call,
  limits: { maxComputeWorkgroupStorageSize: number },
): NativeVariant {
  const padded = limits.maxComputeWorkgroupStorageSize >= gemmWorkgroupBytes(true);
  const whole = (size: number): boolean => size % 4 === 0;
  return {
    operands,
    accepts: (specs) => Object.values(specs).every((spec) => spec?.dtype === 'f32'),
    code(specs, attributes) {
      const call = describe(specs, attributes);
      const { m, n, k } = matmulSizes(call.a, call.b, call.attributes);
      const { transposeA = false, transposeB = false } = call.attributes;
      const shape: GemmShape = {
        transposeA,
        transposeB,
        vectorA: whole(transposeA ? m : k),
        vectorB: whole(transposeB ? k : n),
        vectorY: whole(n),
        c: call.c === undefined ? 'none' : call.c.shape.length === 1 ? 'row' : 'full',
        upper: call.upper,
        padded,
      };
      return isSmall(m, n) ? smallGemmCode(shape) : gemmCode(shape);
    },
    workgroups(specs, attributes) {
      const call = describe(specs, attributes);
      const { m, n } = matmulSizes(call.a, call.b, call.attributes);
      const tile = isSmall(m, n) ? SMALL_TILE : TILE;
      return [Math.ceil(n / tile), Math.ceil(m / tile), 1];
    },
    uniforms(specs, attributes) {
      const call = describe(specs, attributes);
      const { m, n, k } = matmulSizes(call.a, call.b, call.attributes);
      const words = new ArrayBuffer(32);
      new Uint32Array(words).set([m, n, k]);
      new Float32Array(words).set([call.attributes.alpha ?? 1, call.attributes.beta ?? 1], 3);
      return words;
    },
  };
}

/** core.matmul, core.linear and core.gram on one kernel. */
export function matmulVariants(limits: { maxComputeWorkgroupStorageSize: number }): Record<'matmul' | 'linear' | 'gram', NativeVariant> {
  return {
    matmul: variant(
      ['a', 'b', 'c'],
      ({ a, b, c }, attributes) => ({ a: a!, b: b!, c, attributes: attributes as MatmulAttributes, upper: false }),
      limits,
    ),
    linear: variant(
      ['x', 'w', 'bias'],
      ({ x, w, bias }) => ({ a: x!, b: w!, c: bias, attributes: { transposeB: true }, upper: false }),
      limits,
    ),
    gram: variant(
      ['x', 'x', 'h'],
      ({ h, x }, attributes) => ({
        a: x!,
        b: x!,
        c: h,
        attributes: { transposeA: true, alpha: (attributes as { scale: number }).scale },
        upper: true,
      }),
      limits,
    ),
  };
}
