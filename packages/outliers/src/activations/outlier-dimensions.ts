import type { OutlierCriteria, OutlierDimension } from '../report-types.js';

/** Counts at one input of linear layers whose channels are dimensions of the residual stream. */
export interface DimensionCounts {
  readonly block: number;
  readonly tokens: number;
  /** Tokens with |x| ≥ threshold, by dimension. */
  readonly above: ArrayLike<number>;
  readonly absMax: ArrayLike<number>;
}

/**
 * The dimensions of the residual stream that are outliers by the criteria of LLM.int8() (arXiv 2208.07339, section 4): some |x| reaches the threshold in at least
 * `layerShare` of the layers, and over all layers at least `positionShare` of the hidden states have one. Of several inputs in a block (attention, MLP) the one with most counts. Largest
 * share of the layers first.
 */
export function outlierDimensions(
  counts: readonly DimensionCounts[],
  { layerShare, positionShare }: Pick<OutlierCriteria, 'layerShare' | 'positionShare'>,
): OutlierDimension[] {
  const width = counts[0]?.above.length ?? 0;
  const blocks = [...new Set(counts.map(({ block }) => block))];
  const found: OutlierDimension[] = [];
  for (let dimension = 0; dimension < width; dimension++) {
    let [layers, positions, absMax] = [0, 0, 0];
    for (const block of blocks) {
      let share = 0;
      for (const input of counts) {
        if (input.block !== block || input.tokens === 0) continue;
        share = Math.max(share, input.above[dimension] / input.tokens);
        absMax = Math.max(absMax, input.absMax[dimension]);
      }
      if (share > 0) layers++;
      positions += share;
    }
    const figures = { dimension, layers: layers / blocks.length, positions: positions / blocks.length, absMax };
    if (layers > 0 && figures.layers >= layerShare && figures.positions >= positionShare) found.push(figures);
  }
  return found.sort((a, b) => b.layers - a.layers || b.positions - a.positions || b.absMax - a.absMax);
}
