import koffi from 'koffi';
import { libraryFile } from './ggml-library.js';

/** llama.cpp's numbers of file types. */
export const FILE_TYPES = { Q4_0: 2, Q8_0: 7, Q5_0: 8, Q4_K_S: 14, Q4_K_M: 15, Q6_K: 18 } as const;

interface QuantizeParameters {
  readonly ftype: number;
  readonly nthread: number;
  readonly pure: boolean;
  readonly output_tensor_type: number;
  readonly quantize_output_tensor: boolean;
}

/** llama.cpp's `llama_model_quantize`: what the program llama-quantize calls. */
export function loadLlamaQuantize(folder: string): (input: string, output: string, fileType: number) => void {
  koffi.load(libraryFile(folder, /^(lib)?ggml-base/), { global: true });
  const ggml = koffi.load(libraryFile(folder, /^(lib)?ggml\./), { global: true });
  const llama = koffi.load(libraryFile(folder, /^(lib)?llama\./), { global: true });
  koffi.struct('llama_model_quantize_params', {
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
    imatrix: 'void*',
    kv_overrides: 'void*',
    tensor_types: 'void*',
    prune_layers: 'void*',
  });
  const callback = koffi.proto('void LogCallback(int level, const char* text, void* data)');
  const quiet = koffi.register(() => {}, koffi.pointer(callback));
  ggml.func('void ggml_log_set(LogCallback* callback, void* data)')(quiet, null);
  llama.func('void llama_log_set(LogCallback* callback, void* data)')(quiet, null);
  ggml.func('void ggml_backend_load_all_from_path(const char* folder)')(folder);
  llama.func('void llama_backend_init()')();
  const defaults = llama.func('llama_model_quantize_params llama_model_quantize_default_params()')() as QuantizeParameters;
  // The struct has no version: its defaults show whether it still is the one above.
  if (defaults.ftype !== FILE_TYPES.Q8_0 || defaults.output_tensor_type !== 43 || defaults.pure || !defaults.quantize_output_tensor)
    throw new Error(`The library's quantization parameters have changed: ${JSON.stringify(defaults)}.`);
  const quantize = llama.func(
    'uint32 llama_model_quantize(const char* input, const char* output, llama_model_quantize_params* parameters)',
  );
  return (input, output, fileType) => {
    const result = quantize(input, output, { ...defaults, ftype: fileType, nthread: 1 });
    if (result !== 0) throw new Error(`llama_model_quantize returned ${result} for file type ${fileType}.`);
  };
}
