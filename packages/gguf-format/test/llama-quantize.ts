import { randomUUID } from 'node:crypto';
import koffi from 'koffi';
import { libraryFile } from './ggml-library.js';

interface QuantizeParameters {
  readonly ftype: number;
  readonly nthread: number;
  readonly pure: boolean;
  readonly output_tensor_type: number;
  readonly quantize_output_tensor: boolean;
}

export interface LlamaQuantizeOptions {
  readonly pure?: boolean;
  /** ggml's numbers of types. */
  readonly output_tensor_type?: number;
  readonly token_embedding_type?: number;
  /** Importance by tensor. */
  readonly importance?: ReadonlyMap<string, Float32Array>;
}

const Q8_0 = 7;

/** llama.cpp's `llama_model_quantize`: what the program llama-quantize calls. Throws where it refuses. */
export function loadLlamaQuantize(
  folder: string,
): (input: string, output: string, fileType: number, options?: LlamaQuantizeOptions) => void {
  koffi.load(libraryFile(folder, /^(lib)?ggml-base/), { global: true });
  const ggml = koffi.load(libraryFile(folder, /^(lib)?ggml\./), { global: true });
  const llama = koffi.load(libraryFile(folder, /^(lib)?llama\./), { global: true });
  // Types belong to the process, which runs several test files.
  const own = randomUUID().replaceAll('-', '');
  const importanceOf = koffi.struct(`importance_${own}`, { name: 'const char*', data: 'float*', size: 'size_t' });
  koffi.struct(`parameters_${own}`, {
    nthread: 'int32',
    ftype: 'int',
    output_tensor_type: 'int',
    token_embedding_type: 'int',
    allow_requantize: 'bool',
    quantize_output_tensor: 'bool',
    only_copy: 'bool',
    pure: 'bool',
    keep_split: 'bool',
    dry_run: 'bool',
    imatrix: koffi.pointer(importanceOf),
    kv_overrides: 'void*',
    tensor_types: 'void*',
    prune_layers: 'void*',
  });
  const callback = koffi.proto(`void LogCallback_${own}(int level, const char* text, void* data)`);
  const quiet = koffi.register(() => {}, koffi.pointer(callback));
  ggml.func(`void ggml_log_set(LogCallback_${own}* callback, void* data)`)(quiet, null);
  llama.func(`void llama_log_set(LogCallback_${own}* callback, void* data)`)(quiet, null);
  ggml.func('void ggml_backend_load_all_from_path(const char* folder)')(folder);
  llama.func('void llama_backend_init()')();
  const defaults = llama.func(`parameters_${own} llama_model_quantize_default_params()`)() as QuantizeParameters;
  // The struct has no version: its defaults show whether it still is the one above.
  if (defaults.ftype !== Q8_0 || defaults.output_tensor_type !== 43 || defaults.pure || !defaults.quantize_output_tensor)
    throw new Error(`The library's quantization parameters have changed: ${JSON.stringify(defaults)}.`);
  const quantize = llama.func(`uint32 llama_model_quantize(const char* input, const char* output, parameters_${own}* parameters)`);
  return (input, output, fileType, { importance, ...options } = {}) => {
    const imatrix = importance && [
      ...[...importance].map(([name, data]) => ({ name, data, size: data.length })),
      { name: null, data: null, size: 0 },
    ];
    const result = quantize(input, output, { ...defaults, ...options, ...(imatrix ? { imatrix } : {}), ftype: fileType, nthread: 1 });
    if (result !== 0) throw new Error(`llama_model_quantize returned ${result} for file type ${fileType}.`);
  };
}
