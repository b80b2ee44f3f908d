import { readdirSync } from 'node:fs';
import path from 'node:path';
import koffi from 'koffi';

/** ggml's own `ggml_quantize_chunk` from the library that node-llama-cpp ships. */
export async function loadGgml() {
  const { getBinsDir } = await import(`@node-llama-cpp/${process.platform}-${process.arch}`);
  const folder = path.join(getBinsDir().binsDir, `${process.platform}-${process.arch}`);
  const file = readdirSync(folder).find((name) => /^libggml-base/.test(name));
  const library = koffi.load(path.join(folder, file), { global: true });
  const quantizeChunk = library.func(
    'size_t ggml_quantize_chunk(int type, const float* src, _Out_ uint8_t* dst, int64_t start, int64_t nrows, int64_t n_per_row, const float* imatrix)',
  );
  return { quantizeChunk };
}
