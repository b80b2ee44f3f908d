import {
  type BlockGrid,
  type BlockScheme,
  type BufferHandle,
  type LinearLayer,
  type QuantizerContext,
  type Tensor,
  tensor,
} from '@calibrant/core';
import type { DiagonalFacts } from './factor.js';
import { gatherColumns } from './gather-columns.js';
import { scatterRows } from './scatter-rows.js';

export type BlockLayer = LinearLayer<BlockScheme> & { readonly grid: BlockGrid };

/** The grid of some columns: `scales` and `offsets [out, groups]` on the backend, and which of them each column has. */
export interface ColumnSteps {
  readonly scales: BufferHandle;
  readonly offsets: BufferHandle;
  readonly groups: Int32Array;
}

type Track = <T extends BufferHandle>(handle: T) => T;

/** Gives the grid of the block that begins at position `start` of a panel; `channels` names its columns in processing order. */
export type Fit = (panel: BufferHandle, start: number, channels: Int32Array, track: Track) => Promise<ColumnSteps>;

/** Fits each block to its columns as compensated so far, weighing them by the Hessian's diagonal, and writes its bytes into `blocks [out, bytesPerRow]`. */
export function fitAsCompensated(
  { scheme, grid }: BlockLayer,
  { diagonal }: DiagonalFacts,
  blocks: Tensor,
  { backend }: QuantizerContext,
): Fit {
  return async (panel, start, channels, track) => {
    const index = Math.floor(channels[0] / scheme.blockSize);
    const base = index * scheme.blockSize;
    const position = new Int32Array(channels.length);
    channels.forEach((channel, i) => {
      position[channel - base] = start + i;
    });
    const columns = track(await backend.upload(tensor('i32', [position.length], position)));
    const weights = track(await backend.upload(tensor('f32', [scheme.blockSize], diagonal.slice(base, base + scheme.blockSize))));
    const x = track(backend.run(gatherColumns, { x: panel, columns }, {}).y);
    const encoded = track(backend.run(scheme.encode, { x, importance: weights }, {}).blocks);
    const { scales, offsets } = backend.run(grid.steps, { blocks: encoded }, {});
    track(scales);
    track(offsets);
    scatterRows(await backend.download(encoded), blocks, index * scheme.blockBytes);
    return { scales, offsets, groups: channels.map((channel) => Math.floor((channel - base) / grid.groupSize)) };
  };
}

/** Fits all blocks to the weights as they were; dead channels count as zero. The steps are tracked by `track`, the bytes written into `blocks`. */
export async function fitBeforehand(
  { weight, scheme, grid }: BlockLayer,
  { dead, diagonal }: DiagonalFacts,
  blocks: Tensor,
  { backend }: QuantizerContext,
  track: Track,
): Promise<Fit> {
  const alive = Int32Array.from(dead, (flag, channel) => (flag ? -1 : channel));
  const columns = track(await backend.upload(tensor('i32', [alive.length], alive)));
  const weights = track(await backend.upload(tensor('f32', [diagonal.length], diagonal)));
  const x = track(backend.run(gatherColumns, { x: weight, columns }, {}).y);
  const encoded = track(backend.run(scheme.encode, { x, importance: weights }, {}).blocks);
  const { scales, offsets } = backend.run(grid.steps, { blocks: encoded }, {});
  track(scales);
  track(offsets);
  scatterRows(await backend.download(encoded), blocks, 0);
  return async (_panel, _start, channels) => ({
    scales,
    offsets,
    groups: channels.map((channel) => Math.floor(channel / grid.groupSize)),
  });
}
