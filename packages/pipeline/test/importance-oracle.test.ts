import { createCpuBackend } from '@calibrant/backend-cpu';
import { fileSource } from '@calibrant/checkpoint';
import { toF32 } from '@calibrant/core';
import { ggufFormat, readGguf } from '@calibrant/gguf-format';
import { makeImportanceMatrix, openModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { describe, expect, it } from '@jest/globals';
import { libraryFolder, loadQuantizeChunk } from '../../gguf-format/test/ggml-library.js';
import { scratchFolder, testRegistry } from './fixture.js';

const found = libraryFolder();
if ('reason' in found) console.warn(`left out: the comparison with ggml, because ${found.reason}.`);
const withGgml = 'folder' in found ? describe : describe.skip;

withGgml('a whole run with an importance matrix', () => {
  it.each(['Q4_K_M', 'Q5_0'])('%s: every tensor has the bytes of ggml’s encoder with the same importance', async (scheme) => {
    const registry = testRegistry();
    const backend = await createCpuBackend({ threads: 2 });
    const scratch = await scratchFolder();
    try {
      const matrixFile = scratch.path('imatrix.gguf');
      const calibration = { source: 'file', path: evaluationTextPath, samples: 8, length: 64 } as const;
      await makeImportanceMatrix({ model: modelFolder, calibration, out: matrixFile, registry, backend });
      const { files } = await quantizeModel({
        model: modelFolder,
        recipe: { scheme, format: 'gguf', importance: { file: matrixFile } },
        out: scratch.path('out'),
        registry,
        backend,
      });
      const matrixSource = await fileSource(matrixFile);
      const { entries } = await ggufFormat().importance!.read(matrixSource);
      await matrixSource.close();

      const ggml = await loadQuantizeChunk('folder' in found ? found.folder : '');
      const checkpoint = await openModel(modelFolder, { registry, backend });
      const source = await fileSource(files[0]);
      const { tensors } = await readGguf(source);
      let weighed = 0;
      for (const { name, type, shape, offset, bytes } of tensors.values()) {
        const entry = entries.get(name);
        if (!entry) continue;
        const weight = await checkpoint.read(hfName(name));
        const [rows, columns] = shape;
        const x = permuted(toF32(weight), name, rows, columns);
        const importance = Float32Array.from(entry.sums, (sum) => sum / entry.counts[0]);
        const expected = new Uint8Array(bytes);
        ggml(type.id, x, expected, 0, rows, columns, importance);
        expect([name, Buffer.compare(await source.read(offset, bytes), expected)]).toEqual([name, 0]);
        weighed++;
      }
      expect(weighed).toBe(28);
      await source.close();
      await checkpoint.close();
    } finally {
      await backend.close();
      await scratch.clean();
    }
  });
});

const PROJECTIONS: Record<string, string> = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

function hfName(name: string): string {
  const [, block, stem] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name)!;
  return `model.layers.${block}.${PROJECTIONS[stem]}.weight`;
}

/** GGUF's order of the rows of rotated projections: pairs (i, i + half) side by side. The embedded model's heads have 64 rows. */
function permuted(x: Float32Array, name: string, rows: number, columns: number): Float32Array {
  if (!/attn_[qk]\./.test(name)) return x;
  const head = 64;
  const result = new Float32Array(x.length);
  for (let row = 0; row < rows; row++) {
    const within = row % head;
    const from = row - within + (within % 2) * (head / 2) + Math.floor(within / 2);
    result.set(x.subarray(from * columns, (from + 1) * columns), row * columns);
  }
  return result;
}
