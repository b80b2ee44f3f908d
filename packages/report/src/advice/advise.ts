import type { ReportData } from '../data.js';
import type { Advice, Rule } from './advice.js';
import { concentratedError, worstRole } from './layer-rules.js';
import { fewSamples, outlierChannels, withoutCalibration } from './method-rules.js';
import { heavyTail, hiddenByPerplexity, lessSure, muchLost, roomToShrink } from './quality-rules.js';
import { clippingOrRounding } from './range-rules.js';

const RULES: readonly Rule[] = [
  muchLost,
  clippingOrRounding,
  withoutCalibration,
  hiddenByPerplexity,
  concentratedError,
  worstRole,
  outlierChannels,
  fewSamples,
  lessSure,
  heavyTail,
  roomToShrink,
];

/** What the measured figures say about the limits of this model and the next recipe to try, the most important first. */
export function advise(data: ReportData): Advice[] {
  return RULES.flatMap((rule) => rule(data) ?? []).sort((a, b) => b.weight - a.weight);
}
