import type { RunOptions } from '@calibrant/core';
import { DEFAULT_CRITERIA, type InputOutliers } from '@calibrant/outliers';
import type { ChannelMagnitudes } from '@calibrant/report';
import type { Transformer } from '@calibrant/transformer';
import { observeModel } from '../outliers/observe-model.js';

/** Inputs that a report draws. */
const SHOWN = 6;

/** Points of a drawing; of wider inputs each point is the largest of neighbouring channels. */
const POINTS = 512;

export interface MeasureChannelsInput extends RunOptions {
  readonly base: Transformer;
  readonly quantized: Transformer;
  readonly sequences: readonly Int32Array[];
}

/** Largest |x| of each input channel of linear layers, where the channels of one of the models are most uneven, in the order of the model. */
export async function measureChannels({ base, quantized, sequences, ...run }: MeasureChannelsInput): Promise<ChannelMagnitudes[]> {
  const observe = (transformer: Transformer) =>
    observeModel({ ...run, transformer, sequences, criteria: DEFAULT_CRITERIA, top: 1, points: POINTS });
  const before = (await observe(base)).inputs;
  const after = new Map((await observe(quantized)).inputs.map((input) => [keyOf(input), input]));
  const pairs = before.map((input) => ({ input, other: after.get(keyOf(input)) }));
  const unevenness = ({ input, other }: (typeof pairs)[number]) => Math.max(input.channelRatio, other?.channelRatio ?? 0);
  const worst = new Set([...pairs].sort((a, b) => unevenness(b) - unevenness(a)).slice(0, SHOWN));
  return pairs
    .filter((pair) => worst.has(pair))
    .map(({ input, other }) => ({
      name: input.linears[0],
      ...(typeof input.place === 'number' ? { block: input.place } : {}),
      before: input.channels.absMax.values,
      ...(other ? { after: other.channels.absMax.values } : {}),
      channelsPerValue: input.channels.absMax.perPoint,
    }));
}

function keyOf({ place, point }: InputOutliers): string {
  return `${place} ${point}`;
}
