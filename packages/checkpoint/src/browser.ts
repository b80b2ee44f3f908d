/**
 * What works without a file system: safetensors over any `ByteSource` and `ByteSink`.
 * @module
 */

export { type HttpSourceOptions, httpSource } from './files/http-source.js';
export { isRepoId, isSafeRevision, type ModelReference, parseModelReference } from './hub/model-reference.js';
export { columnsOf, packColumns, packRows, transposed, unpackColumns, unpackRows, wordsFor } from './model/bit-matrices.js';
export { type CodedFolder, type CodedWeight, codedFolder } from './model/coded-folder.js';
export { type ColumnBuffer, columnBuffer } from './model/column-buffer.js';
export { lastTensor } from './model/last-tensor.js';
export { keptModules, linearModule, moduleName } from './model/linear-modules.js';
export type { ActivationOf, ModelLayout, PartWriter, StoredWeight } from './model/model-layout.js';
export { createModelWriter } from './model/model-writer.js';
export { folderOutputs, isPlannable, sourceFloat } from './model/plain-tensors.js';
export { type RowBuffer, rowBuffer } from './model/row-buffer.js';
export { copySideFiles } from './model/side-files.js';
export { sourceScaleDtype, storedScales } from './model/stored-scales.js';
export { MAX_HEADER_BYTES, readSafetensorsHeader, type SafetensorsEntry, type SafetensorsHeader } from './safetensors/header.js';
export { INDEX_FILE, parseSafetensorsIndex } from './safetensors/index-file.js';
export type { NamedTensorSpec } from './safetensors/layout.js';
export { type RowSelection, readSafetensorsTensor } from './safetensors/read-tensor.js';
export { createShardedWriter, type ShardedWriter, type ShardedWriterOptions } from './safetensors/sharded-writer.js';
export { createSafetensorsWriter, type SafetensorsWriter, type SafetensorsWriterOptions } from './safetensors/writer.js';
