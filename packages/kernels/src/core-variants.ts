import * as core from '@calibrant/core';
import { type DType, dtypeInfo, elementCount, type Kernel, type TensorSpec } from '@calibrant/core';

/** The WebAssembly function of a core kernel for given operands. */
export interface CoreCall {
  readonly function: string;
  readonly scalars: readonly number[];
}

type Choose = (specs: Readonly<Record<string, TensorSpec>>, attributes: any) => CoreCall | undefined;

/** The kernels of `@calibrant/core`, whose references every lane can run. */
export const CORE_KERNELS: readonly Kernel<any, any, any>[] = Object.values(core).filter(
  (value): value is Kernel<any, any, any> => typeof value === 'object' && 'reference' in value && 'infer' in value,
);

/** Numbers of the element types in assembly/convert.ts. */
const CONVERTED: Partial<Record<DType, number>> = { f64: 0, f32: 1, f16: 2, bf16: 3, f8_e4m3: 4, f8_e5m2: 5 };
const ACTIVATIONS: Readonly<Record<string, number>> = { silu: 0, gelu: 1, geluTanh: 2, relu: 3 };

/** SIMD functions for the kernels of `@calibrant/core`. Undefined where a case has none and the reference runs. */
export const CORE_VARIANTS: Readonly<Record<string, Choose>> = {
  'core.rmsNorm': ({ x, weight }, { eps, offset = 0 }) => call('rmsNorm', x.shape[1], weight.shape[0], eps, offset),
  'core.layerNorm': ({ x, weight }, { eps }) => call('layerNorm', x.shape[1], weight.shape[0], eps),
  'core.softmax': ({ x }) => call('softmax', x.shape[1]),
  'core.rope': ({ x, cos }, { headDim, style }) =>
    call('rope', x.shape[1], headDim, cos.shape[1], Number(style === 'interleaved'), cos.shape[0]),
  'core.activation': ({ x }, { kind }) => call('activate', rowLength(x), ACTIVATIONS[kind]),
  'core.add': ({ a }, { scale = 1 }) => call('add', rowLength(a), scale),
  'core.scale': ({ x }, { scale }) => call('scale', rowLength(x), scale),
  'core.transpose': ({ x }) => call(`transpose${dtypeInfo(x.dtype).bytes}`, x.shape[1]),
  'core.convert': ({ x }, { to }) => call('convert', rowLength(x), CONVERTED[x.dtype]!, CONVERTED[to as DType]!),
  'core.fitAffine': ({ w }, { bits, groupSize, symmetric }) => call('fitAffine', w.shape[1], bits, groupSize, Number(symmetric)),
  'core.roundAffine': ({ w, scales }, { bits, groupSize }) => call('roundAffine', w.shape[1], scales.shape[1], bits, groupSize),
  'core.dequantizeAffine': ({ codes, scales }, { groupSize }) => call('dequantizeAffine', codes.shape[1], scales.shape[1], groupSize),
  'core.rowRanges': ({ x }) => call('rowRanges', x.shape[1]),
  'core.fakeQuantize': ({ x, ranges }, attributes) => fakeQuantizeCall(x, ranges, attributes),
  'core.gridUse': ({ w, scales }, { bits, groupSize }) => call('gridUse', w.shape[1], scales.shape[1], bits, groupSize),
  'core.fakeQuantizeAffine': ({ w }, { bits, groupSize, symmetric }) =>
    call('fakeQuantizeAffine', w.shape[1], bits, groupSize, Number(symmetric)),
  'core.channelMagnitudes': ({ x }) => call('channelMagnitudes', x.shape[0], x.shape[1]),
  'core.scaleMatrix': ({ w }) => call('scaleMatrix', w.shape[1]),
  'core.squaredErrors': ({ a }) => call('squaredErrors', a.shape[1]),
  'core.groupMagnitudes': ({ w }, { groupSize }) => call('groupMagnitudes', w.shape[1], groupSize),
  'core.roundMinifloat': ({ w }, { groupSize }) => call('roundMinifloat', w.shape[1], groupSize),
  'core.dequantizeMinifloat': ({ codes }, { groupSize }) => call('dequantizeMinifloat', codes.shape[1], groupSize),
  'core.packBits': ({ codes }, { bits }) => call('packBits', codes.shape[1], bits),
  'core.unpackBits': (_, { bits, columns }) => call('unpackBits', columns, bits),
};

function call(name: string, ...scalars: number[]): CoreCall {
  return { function: name, scalars };
}

function fakeQuantizeCall(x: TensorSpec, ranges: TensorSpec | undefined, attributes: core.FakeQuantizeAttributes): CoreCall {
  const { type, bits, groupSize, symmetric, scale, zeroPoint = 0, leastScale = 0 } = attributes;
  const source = scale !== undefined ? 1 : ranges ? 2 : 0;
  const middle = type === 'float' ? 0 : symmetric ? 2 ** (bits - 1) : zeroPoint;
  const grid = [Number(type === 'float'), bits, Number(symmetric), source];
  return call('fakeQuantize', x.shape[1], groupSize, ...grid, ranges?.shape[0] ?? 0, scale ?? 1, middle, leastScale);
}

function rowLength({ shape }: TensorSpec): number {
  return elementCount(shape.slice(1));
}
