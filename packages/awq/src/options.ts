import { z } from 'zod';

const fields = {
  ratios: z.number().int().min(1).max(200).describe('how many exponents between 0 and 1 are tried'),
  duoScaling: z
    .union([z.boolean(), z.literal('both')])
    .describe('divide by the size of the weights, too; both: try each exponent either way'),
  clip: z.boolean().describe('search a clipping range for each group of weights'),
  clipSteps: z.number().int().min(1).max(50).describe('ranges tried, from the whole one down to half of it'),
  searchTokens: z.number().int().min(1).describe('calibration tokens on which errors are measured, in whole sequences'),
  clipTokens: z.number().int().min(1).describe('calibration tokens on which clipping is measured'),
  sharedHeads: z
    .boolean()
    .describe('also scale between v and o where query heads share a value head, with one factor for the heads that do'),
};

const DEFAULTS = {
  ratios: 20,
  duoScaling: true,
  clip: true,
  clipSteps: 10,
  searchTokens: 2048,
  clipTokens: 512,
  sharedHeads: false,
} as const;

/** The schema of the options, with defaults of the caller's. */
export function awqSchema(defaults: Partial<ResolvedAwqOptions> = {}) {
  const value = { ...DEFAULTS, ...defaults };
  return z.strictObject({
    ratios: fields.ratios.default(value.ratios),
    duoScaling: fields.duoScaling.default(value.duoScaling),
    clip: fields.clip.default(value.clip),
    clipSteps: fields.clipSteps.default(value.clipSteps),
    searchTokens: fields.searchTokens.default(value.searchTokens),
    clipTokens: fields.clipTokens.default(value.clipTokens),
    sharedHeads: fields.sharedHeads.default(value.sharedHeads),
  });
}

export interface ResolvedAwqOptions {
  readonly ratios: number;
  readonly duoScaling: boolean | 'both';
  readonly clip: boolean;
  readonly clipSteps: number;
  readonly searchTokens: number;
  readonly clipTokens: number;
  readonly sharedHeads: boolean;
}

export type AwqOptions = Partial<ResolvedAwqOptions>;
