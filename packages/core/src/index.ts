/**
 * Words and contracts that every Calibrant package shares.
 * @module
 */

export {
  type ActivationGrid,
  type ActivationScheme,
  activationSchemeName,
  type ExecutionPlan,
  parseActivationScheme,
} from './activation-scheme.js';
export {
  type AffineGrid,
  affineTensor,
  affineValues,
  checkAffineLayer,
  checkBlockLayer,
  fitScheme,
  type GridUse,
  measureGridUse,
  roundToGrid,
} from './affine-layer.js';
export { type Backend, type BufferHandle, type KernelInputs, withBuffers } from './backend.js';
export { packBits as packCodes, unpackBits as unpackCodes } from './bits.js';
export { type BlockGridDefinition, defineBlockGrid } from './block-grid.js';
export { type Codebook, E2M1, NF4, nearestCode, type SortedCodebook, sortCodebook } from './codebook.js';
export { toDtype, toF32 } from './convert.js';
export { decodeTensor } from './decode.js';
export { DTYPES, type DType, type DTypeInfo, dtypeInfo, type TypedArray } from './dtype.js';
export { CalibrantError, type ErrorCode, type ErrorDetails, throwIfAborted } from './errors.js';
export { fakeQuantizeAttributes, roundActivations, staticGrid } from './fake-quantize-grid.js';
export { type FakeQuantizeOptions, fakeQuantizeWeight } from './fake-quantize-weight.js';
export { type CodedFloat, decodeFloat, decodeOne, encodeFloat, encodeOne } from './float-codecs.js';
export { foldFactors } from './fold-factors.js';
export type { ImportanceEntry, ImportanceFiles, ImportanceMatrix, ImportanceOrigin } from './importance.js';
export type { ByteSink, ByteSource, Checkpoint, CodedInfo, OutputFolder, TensorInfo } from './io.js';
export {
  defineKernel,
  type EmbeddedWasm,
  type GpuJsVariant,
  type InputSpec,
  type Kernel,
  type OperandRole,
  type RowRange,
  splitRows,
  type WasmVariant,
  type WgslVariant,
} from './kernel.js';
export { decodeMinifloat, encodeMinifloat, minifloatScaleShape, minifloatSchemeName, parseMinifloatScheme } from './minifloat.js';
export { nearest } from './nearest.js';
export * from './ops/index.js';
export { createOrderedFetch, fetchAll, type OrderedFetch } from './ordered-fetch.js';
export { bindCalibrator } from './plugins/bind-calibrator.js';
export * from './plugins/contracts.js';
export * from './plugins/define.js';
export { parseOptions, parseRecipe, type Recipe, type RecipeInput, recipeJsonSchema, recipeSchema } from './plugins/recipe.js';
export { createRegistry, type Registry } from './plugins/registry.js';
export * from './plugins/transform.js';
export type { ProgressEvent, RunEvent, RunOptions, WarningEvent } from './progress.js';
export { checkInputs, createReferenceBackend } from './reference-backend.js';
export { createRng, type Rng } from './rng.js';
export type {
  AffineScheme,
  AffineTensor,
  BlockGrid,
  BlockIntegers,
  BlockScheme,
  BlockTensor,
  FloatScheme,
  FloatTensor,
  Granularity,
  MinifloatScheme,
  MinifloatTensor,
  QuantizedTensor,
  TensorScheme,
} from './scheme.js';
export { affineSchemeName, parseAffineScheme } from './scheme-name.js';
export { byteLength, describeSpec, elementCount, rows, type Tensor, type TensorSpec, tensor, view } from './tensor.js';
export type {
  BoundCalibrator,
  GridForm,
  RangeBuffers,
  ValueHistogram,
  ValueRange,
  ValueStatistics,
} from './value-range.js';
