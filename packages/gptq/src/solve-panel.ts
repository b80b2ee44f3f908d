import { type BufferHandle, type QuantizerContext, type Tensor, tensor, throwIfAborted, withBuffers } from '@calibrant/core';
import type { BlockLayer, Fit } from './fit-blocks.js';
import { scatterRows } from './scatter-rows.js';
import { solveBlock } from './solve-block.js';

/**
 * Solves the blocks of a panel `[out, p]` one after the other. `channels` names its columns, `u [p, p]` is its part of the factor. Gives the codes
 * `[out, p]` in processing order and the errors `[out, p]`, which the caller frees.
 */
export async function solvePanel(
  panel: BufferHandle,
  u: BufferHandle,
  channels: Int32Array,
  { scheme, grid }: BlockLayer,
  fit: Fit,
  { backend, signal }: QuantizerContext,
): Promise<{ codes: Tensor; errors: BufferHandle }> {
  const codes = tensor('u8', panel.shape);
  const { table, ...levels } = levelsOf(grid.levels);
  let current = panel;
  const replace = (next: BufferHandle) => {
    if (current !== panel) backend.free(current);
    current = next;
  };
  try {
    for (let start = 0; start < channels.length; start += scheme.blockSize) {
      throwIfAborted(signal);
      await withBuffers(backend, async (track) => {
        const { scales, offsets, groups } = await fit(current, start, channels.subarray(start, start + scheme.blockSize), track);
        const inputs = {
          panel: current,
          u,
          scales,
          offsets,
          groups: track(await backend.upload(tensor('i32', [groups.length], groups))),
          ...(table ? { levels: track(await backend.upload(tensor('f32', [table.length], table))) } : {}),
        };
        const result = backend.run(solveBlock, inputs, { start, ...levels });
        track(result.codes);
        replace(result.solved);
        scatterRows(await backend.download(result.codes), codes, start);
      });
    }
    return { codes, errors: current };
  } catch (error) {
    replace(panel);
    throw error;
  }
}

/** Consecutive integers need no table. */
function levelsOf(levels: readonly number[]): { firstLevel: number; levelCount: number; table?: Float32Array } {
  const even = levels.every((level, code) => level === levels[0] + code);
  const range = { firstLevel: even ? levels[0] : 0, levelCount: levels.length };
  return even ? range : { ...range, table: Float32Array.from(levels) };
}
