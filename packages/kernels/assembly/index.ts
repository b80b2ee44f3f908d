/** First free address: operands are laid out from here on. */
export function heapBase(): usize {
  return __heap_base;
}

export { activate } from './activation';
export { dequantizeAffine, fakeQuantizeAffine, fitAffine, roundAffine } from './affine';
export { attentionSoftmax } from './attention-softmax';
export { factorBlock, invertLowerBlock } from './cholesky';
export { convert } from './convert';
export { accumulateTriangle, add, scale } from './elementwise';
export { fakeQuantize, rowRanges } from './fake-quantize';
export { gemmF32 } from './gemm-f32';
export { gemmF64 } from './gemm-f64';
export { gridUse } from './grid-use';
export { copyRectangle, transpose1, transpose2, transpose4, transpose8 } from './layout';
export { dequantizeMinifloat, groupMagnitudes, roundMinifloat } from './minifloat';
export { layerNorm, rmsNorm } from './norms';
export { packBits, unpackBits } from './packing';
export { rope } from './rope';
export { channelMagnitudes, scaleMatrix, squaredErrors } from './scaling';
export { softmax } from './softmax';
