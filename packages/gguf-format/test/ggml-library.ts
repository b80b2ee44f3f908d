import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const platform = `${process.platform}-${process.arch}`;
const require = createRequire(import.meta.url);

/** The folder of llama.cpp's libraries that node-llama-cpp ships for this platform, or why there is none. */
export function libraryFolder(): { folder: string } | { reason: string } {
  try {
    const root = path.dirname(path.dirname(require.resolve(`@node-llama-cpp/${platform}`)));
    const folder = path.join(root, 'bins', platform);
    require.resolve('koffi');
    return existsSync(folder) ? { folder } : { reason: `${folder} does not exist` };
  } catch (error) {
    return { reason: `llama.cpp's libraries for ${platform} cannot be loaded: ${(error as Error).message.split('\n')[0]}` };
  }
}

/** The path of a library, whose file name carries a version. */
export function libraryFile(folder: string, pattern: RegExp): string {
  const file = readdirSync(folder).find((name) => pattern.test(name));
  if (!file) throw new Error(`${folder} holds no library ${pattern}.`);
  return path.join(folder, file);
}

export type QuantizeChunk = (
  type: number,
  source: Float32Array,
  out: Uint8Array,
  start: number,
  rows: number,
  columns: number,
  importance: Float32Array | null,
) => number;

/** ggml's own encoder of rows. */
export async function loadQuantizeChunk(folder: string): Promise<QuantizeChunk> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load(libraryFile(folder, /^(lib)?ggml-base/), { global: true });
  return library.func(
    'size_t ggml_quantize_chunk(int type, const float* src, _Out_ uint8_t* dst, int64_t start, int64_t nrows, int64_t n_per_row, const float* imatrix)',
  ) as unknown as QuantizeChunk;
}
