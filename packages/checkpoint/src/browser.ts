/**
 * What works without a file system: safetensors over any `ByteSource` and `ByteSink`.
 * @module
 */

export { type HttpSourceOptions, httpSource } from './files/http-source.js';
export { isRepoId, isSafeRevision, type ModelReference, parseModelReference } from './hub/model-reference.js';
export { MAX_HEADER_BYTES, readSafetensorsHeader, type SafetensorsEntry, type SafetensorsHeader } from './safetensors/header.js';
export { INDEX_FILE, parseSafetensorsIndex } from './safetensors/index-file.js';
export type { NamedTensorSpec } from './safetensors/layout.js';
export { type RowSelection, readSafetensorsTensor } from './safetensors/read-tensor.js';
export { createShardedWriter, type ShardedWriter, type ShardedWriterOptions } from './safetensors/sharded-writer.js';
export { createSafetensorsWriter, type SafetensorsWriter, type SafetensorsWriterOptions } from './safetensors/writer.js';
