import { medianOf } from './channel-profile.js';
import type { ChannelProfile, InputOutliers, OutlierReport, Place, WeightOutliers } from './report-types.js';

/** A figure of the first and of the second model. */
export interface Change {
  readonly before: number;
  readonly after: number;
}

/** A channel whose largest value changed. */
export interface ChannelChange extends Change {
  readonly channel: number;
}

export interface WeightChange {
  readonly name: string;
  readonly place: Place;
  readonly absMax: Change;
  readonly kurtosis: Change;
  /** Largest max |w| / median |w| of an input channel, and of an output channel. */
  readonly inputRatio: Change;
  readonly outputRatio: Change;
  /** Input channels whose largest |w| changed by the largest factor. */
  readonly channels: readonly ChannelChange[];
}

export interface InputChange {
  readonly point: string;
  readonly place: Place;
  readonly linears: readonly string[];
  readonly absMax: Change;
  readonly rms: Change;
  readonly kurtosis: Change;
  /** Largest over median channel absmax. */
  readonly channelRatio: Change;
  /** Channels with values of the threshold or more. */
  readonly channelsAbove: Change;
  readonly channels: readonly ChannelChange[];
}

/** What a transform or a quantization did to a model's outliers. Plain JSON. */
export interface OutlierComparison {
  readonly before: OutlierReport;
  readonly after: OutlierReport;
  readonly weights: readonly WeightChange[];
  readonly inputs: readonly InputChange[];
  /** Outlier dimensions (by the criteria of LLM.int8()) that both have, that are gone, and that are new. */
  readonly dimensions: { readonly kept: readonly number[]; readonly gone: readonly number[]; readonly added: readonly number[] };
  /** Weights that one of the models alone has. */
  readonly unmatched: readonly string[];
  readonly summary: readonly string[];
}

/** Channels that are listed per layer. */
const LISTED = 8;

/** Puts two reports side by side, made on the same text. Layers are matched by the names of their weights. */
export function compareReports(before: OutlierReport, after: OutlierReport): OutlierComparison {
  const weightsAfter = new Map(after.weights.map((weight) => [weight.name, weight]));
  const inputsAfter = new Map(after.inputs.map((input) => [keyOf(input), input]));
  const weights = before.weights.flatMap((weight) => {
    const other = weightsAfter.get(weight.name);
    return other ? [weightChange(weight, other)] : [];
  });
  const inputs = before.inputs.flatMap((input) => {
    const other = inputsAfter.get(keyOf(input));
    return other ? [inputChange(input, other)] : [];
  });
  const names = new Set(weights.map(({ name }) => name));
  const [first, second] = [before, after].map(({ dimensions }) => new Set(dimensions.map(({ dimension }) => dimension)));
  const dimensions = {
    kept: [...first].filter((dimension) => second.has(dimension)),
    gone: [...first].filter((dimension) => !second.has(dimension)),
    added: [...second].filter((dimension) => !first.has(dimension)),
  };
  const unmatched = [...before.weights, ...after.weights].map(({ name }) => name).filter((name) => !names.has(name));
  return { before, after, weights, inputs, dimensions, unmatched, summary: sentences(weights, inputs, dimensions, unmatched) };
}

function keyOf({ place, point, linears }: InputOutliers): string {
  return `${place} ${point} ${linears[0]}`;
}

function weightChange(a: WeightOutliers, b: WeightOutliers): WeightChange {
  const largest = ({ min, max }: WeightOutliers) => Math.max(-min, max);
  return {
    name: a.name,
    place: a.place,
    absMax: { before: largest(a), after: largest(b) },
    kurtosis: { before: a.kurtosis, after: b.kurtosis },
    inputRatio: { before: a.inputChannels.largestRatio, after: b.inputChannels.largestRatio },
    outputRatio: { before: a.outputChannels.largestRatio, after: b.outputChannels.largestRatio },
    channels: channelChanges(a.inputChannels.absMax, b.inputChannels.absMax),
  };
}

function inputChange(a: InputOutliers, b: InputOutliers): InputChange {
  const change = (of: (input: InputOutliers) => number): Change => ({ before: of(a), after: of(b) });
  return {
    point: a.point,
    place: a.place,
    linears: a.linears,
    absMax: change(({ absMax }) => absMax),
    rms: change(({ rms }) => rms),
    kurtosis: change(({ kurtosis }) => kurtosis),
    channelRatio: change(({ channelRatio }) => channelRatio),
    channelsAbove: change(({ channelsAbove }) => channelsAbove),
    channels: channelChanges(a.channels.absMax, b.channels.absMax),
  };
}

/** The points of two profiles that differ by the largest factors, at least by a hundredth. `channel` is the first channel of the point. */
function channelChanges(a: ChannelProfile, b: ChannelProfile): ChannelChange[] {
  if (a.width !== b.width || a.perPoint !== b.perPoint) return [];
  const factor = ({ before, after }: Change) =>
    before > 0 && after > 0 ? Math.abs(Math.log(after / before)) : before === after ? 0 : Infinity;
  return a.values
    .map((before, point) => ({ channel: point * a.perPoint, before, after: b.values[point] }))
    .filter((change) => factor(change) > 0.01)
    .sort((x, y) => factor(y) - factor(x) || x.channel - y.channel)
    .slice(0, LISTED);
}

function sentences(
  weights: readonly WeightChange[],
  inputs: readonly InputChange[],
  { kept, gone, added }: OutlierComparison['dimensions'],
  unmatched: readonly string[],
): string[] {
  const found: string[] = [];
  if (inputs.length > 0) {
    const counts = `${kept.length + gone.length} before, ${kept.length + added.length} after (${gone.length} gone, ${added.length} new)`;
    found.push(`Outlier channels of the residual stream: ${counts}.`);
    found.push(
      trend(
        'Largest over median channel of the inputs of linear layers',
        inputs.map((input) => input.channelRatio),
      ),
    );
  }
  if (weights.length > 0)
    found.push(
      trend(
        "Largest over median |w| of a weight's most uneven input channel",
        weights.map((weight) => weight.inputRatio),
      ),
    );
  if (unmatched.length > 0) found.push(`${unmatched.length} weights are in one of the models alone, among them ${unmatched[0]}.`);
  return found;
}

/** A change by more than this factor is worth a word. */
const NOTABLE = 1.1;

function trend(what: string, changes: readonly Change[]): string {
  const [before, after] = [changes.map((change) => change.before), changes.map((change) => change.after)].map(medianOf);
  const rose = changes.filter((change) => change.after > NOTABLE * change.before).length;
  const fell = changes.filter((change) => change.after * NOTABLE < change.before).length;
  const largest = (of: 'before' | 'after') => Math.max(...changes.map((change) => change[of])).toPrecision(3);
  return `${what}: ${before.toPrecision(3)} before and ${after.toPrecision(3)} after (median of ${changes.length}), at most ${largest('before')} and ${largest('after')}; higher at ${rose}, lower at ${fell}.`;
}
