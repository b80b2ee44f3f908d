export {
  dequantizeAffine,
  type FitAttributes,
  fitAffine,
  type GridAttributes,
  gridOfRange,
  gridOfRanges,
  groupsPerRow,
  roundAffine,
  roundHalfEven,
  schemeGroupSize,
} from './affine.js';
export { type AttentionAttributes, attention, type RopeAttributes, rope } from './attention.js';
export { expectDtype, expectShape } from './check.js';
export { inverseCholesky } from './cholesky.js';
export {
  dequantizeCodebook,
  type FitCodebookAttributes,
  fitCodebook,
  type RoundCodebookAttributes,
  roundCodebook,
} from './codebook.js';
export { convert } from './convert.js';
export { type ActivationKind, activation, add, erf, scale } from './elementwise.js';
export { E4M3_MAX, type FakeQuantizeAttributes, fakeQuantize, rowRanges } from './fake-quantize.js';
export { gridUse } from './grid-use.js';
export { gather, type SliceAttributes, slice, transpose } from './layout.js';
export { gram, linear, type MatmulAttributes, matmul, matmulSizes } from './matmul.js';
export { dequantizeMinifloat, groupMagnitudes, roundMinifloat } from './minifloat.js';
export { layerNorm, rmsNorm, softmax } from './norms.js';
export { packBits, unpackBits } from './packing.js';
export { channelMagnitudes, fakeQuantizeAffine, scaleMatrix, squaredErrors } from './scaling.js';
