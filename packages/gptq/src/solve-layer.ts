import {
  add,
  type BufferHandle,
  linear,
  type QuantizerContext,
  slice,
  tensor,
  throwIfAborted,
  transpose,
  withBuffers,
} from '@calibrant/core';
import type { DiagonalFacts } from './factor.js';
import { type BlockLayer, fitAsCompensated, fitBeforehand } from './fit-blocks.js';
import { gatherColumns } from './gather-columns.js';
import type { ColumnPlan } from './order.js';
import { scatterColumns } from './scatter-rows.js';
import { solvePanel } from './solve-panel.js';

/** Columns between two updates of all later ones; longer blocks set it themselves. */
const PANEL = 128;

/**
 * The column loop over a layer, by panels: inside a panel the error of each column goes to the later ones at once ({@link solvePanel}), behind
 * it all at a time by a matrix product. Gives the encoded rows `[out, bytesPerRow]`; the caller frees them.
 */
export function solveLayer(
  layer: BlockLayer,
  facts: DiagonalFacts,
  u: BufferHandle,
  { order, fixedGrid }: ColumnPlan,
  context: QuantizerContext,
): Promise<BufferHandle> {
  const { weight, scheme, grid } = layer;
  const { backend } = context;
  const [rows, n] = weight.shape;
  const codes = tensor('u8', [rows, n]);
  const blocks = tensor('u8', [rows, (n / scheme.blockSize) * scheme.blockBytes]);
  return withBuffers(backend, async (track) => {
    const fit = fixedGrid ? await fitBeforehand(layer, facts, blocks, context, track) : fitAsCompensated(layer, facts, blocks, context);
    const columns = track(
      await backend.upload(
        tensor(
          'i32',
          [n],
          order.map((channel) => (facts.dead[channel] ? -1 : channel)),
        ),
      ),
    );
    const size = Math.max(scheme.blockSize, PANEL - (PANEL % scheme.blockSize));
    let rest: BufferHandle | undefined = backend.run(gatherColumns, { x: weight, columns }, {}).y;
    try {
      for (let first = 0; rest; first += size) {
        const end = Math.min(first + size, n);
        const open: BufferHandle = rest;
        const next: BufferHandle | undefined = await withBuffers(backend, async (trackPanel) => {
          const part = (x: BufferHandle, rowStart: number, rowEnd: number, columnStart: number, columnEnd: number) =>
            trackPanel(backend.run(slice, { x }, { rowStart, rowEnd, columnStart, columnEnd }).y);
          const channels = order.subarray(first, end);
          const panel = part(open, 0, rows, 0, end - first);
          const solved = await solvePanel(panel, part(u, first, end, first, end), channels, layer, fit, context);
          trackPanel(solved.errors);
          throwIfAborted(context.signal);
          scatterColumns(solved.codes, codes, channels);
          if (end === n) return undefined;
          const w = trackPanel(backend.run(transpose, { x: part(u, first, end, end, n) }, {}).y);
          const change = trackPanel(backend.run(linear, { x: solved.errors, w }, {}).y);
          return backend.run(add, { a: part(open, 0, rows, end - first, n - first), b: change }, { scale: -1 }).y;
        });
        backend.free(rest);
        rest = next;
      }
    } finally {
      backend.free(rest);
    }
    const inputs = { blocks: track(await backend.upload(blocks)), codes: track(await backend.upload(codes)) };
    return backend.run(grid.replaceCodes, inputs, {}).recoded;
  });
}
