import type { ResolvedGptqOptions } from './options.js';

/** How the columns of a layer are processed. Positions count in processing order, channels in storage order. */
export interface ColumnPlan {
  /** The channel at each position. */
  readonly order: Int32Array;
  /** The group (column of `scales`) of each position. */
  readonly groups: Int32Array;
  /** Whether all scales are fitted before the loop. */
  readonly fixedGrid: boolean;
  /** The group of each channel, where groups are not contiguous runs of channels. */
  readonly groupIndex?: Int32Array;
}

/**
 * Plans the order of columns from the Hessian's diagonal. Group-aware order is that of GPTQModel ("GAR"): channels by descending diagonal
 * inside their group, and groups by their largest diagonal, so that groups stay contiguous in storage. Ties keep storage order.
 */
export function planColumns(diagonal: Float32Array, groupSize: number, { actOrder, staticGroups }: ResolvedGptqOptions): ColumnPlan {
  const channels = Array.from(diagonal, (_, channel) => channel);
  const groupOf = (channel: number) => Math.floor(channel / groupSize);
  if (actOrder === 'full') {
    channels.sort((a, b) => diagonal[b] - diagonal[a] || a - b);
  } else if (actOrder === 'group-aware') {
    const largest = new Float32Array(Math.ceil(diagonal.length / groupSize));
    for (const channel of channels) largest[groupOf(channel)] = Math.max(largest[groupOf(channel)], diagonal[channel]);
    channels.sort((a, b) => largest[groupOf(b)] - largest[groupOf(a)] || groupOf(a) - groupOf(b) || diagonal[b] - diagonal[a] || a - b);
  }
  const order = Int32Array.from(channels);
  const scattered = actOrder === 'full' && !staticGroups && groupSize < diagonal.length;
  const groups = order.map((channel, position) => groupOf(scattered ? position : channel));
  if (!scattered) return { order, groups, fixedGrid: staticGroups };
  const groupIndex = new Int32Array(order.length);
  order.forEach((channel, position) => {
    groupIndex[channel] = groups[position];
  });
  return { order, groups, fixedGrid: false, groupIndex };
}
