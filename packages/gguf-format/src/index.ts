/**
 * GGUF: block encodings equal to ggml's, reader, streaming writer, and conversion of checkpoints both ways.
 * @module
 */

export type { BlockType } from './blocks/block-type.js';
export { BLOCK_TYPES, type BlockTypeName, blockType } from './blocks/block-types.js';
export { openGgufCheckpoint } from './checkpoint/open-gguf-checkpoint.js';
export type { GgmlType } from './file/ggml-types.js';
export type { GgufFile, GgufTensor } from './file/gguf-file.js';
export { GgufWriter } from './file/gguf-writer.js';
export { type GgufLayout, type GgufTensorPlan, layOut } from './file/layout.js';
export { type GgufArray, type GgufMetadata, type GgufValue, type Scalar, type ScalarType, value as ggufValue } from './file/metadata.js';
export { readGguf } from './file/read-gguf.js';
export { type GgufModel, type GgufModelTensor, type GgufPart, readGgufModel } from './file/read-model.js';
export { type GgufFormatOptions, ggufFormat } from './format/gguf-format.js';
export { imatrixFiles } from './imatrix/imatrix-files.js';
export { ggufSchemes } from './schemes/gguf-schemes.js';
export { type SchemeChoices, type Search, schemeOf as blockScheme } from './schemes/tensor-types.js';
export type { WrittenGguf } from './tools/copy-model.js';
export { diffGguf, type GgufDifference, type TensorDifference, type ValueDifference } from './tools/diff.js';
export type { MetadataDifference } from './tools/diff-metadata.js';
export { type DumpedKey, type DumpedTensor, type DumpOptions, dumpGguf, type GgufDump, type PlainValue } from './tools/dump.js';
export { type PartLimits, parseSize } from './tools/part-plan.js';
export { decodeRawRows, encodedRowBytes, encodeRawRows, type RawRowsOptions, readImportance } from './tools/raw-rows.js';
export { mergeGguf, type SplitOptions, splitGguf } from './tools/split-model.js';
export { type GgufFault, type GgufVerification, verifyGguf } from './tools/verify.js';
