import { z } from 'zod';

/** In which order columns are quantized. */
export const ACT_ORDERS = ['none', 'full', 'group-aware'] as const;

/** What becomes of experts that saw few tokens. */
export const FEW_TOKENS = ['rtn', 'all-experts'] as const;

/** The schema of GPTQ's options; `defaults` replace the built-in ones. */
export function gptqSchema(defaults: GptqOptions = {}) {
  return z.strictObject({
    actOrder: z
      .enum(ACT_ORDERS)
      .default(defaults.actOrder ?? 'group-aware')
      .describe(
        'order of columns: none: as stored; full: by descending importance (groups scatter unless staticGroups); group-aware: by importance inside groups and over groups',
      ),
    staticGroups: z
      .boolean()
      .default(defaults.staticGroups ?? false)
      .describe('fix all scales from the original weights before the loop'),
    dampPercent: z
      .number()
      .min(0)
      .max(1)
      .default(defaults.dampPercent ?? 0.01)
      .describe("damping, as a fraction of the Hessian's mean diagonal"),
    blockSize: z
      .number()
      .int()
      .min(1)
      .max(128)
      .default(defaults.blockSize ?? 128)
      .describe('columns per lazy update; changes speed, not results'),
    trueSequential: z
      .boolean()
      .default(defaults.trueSequential ?? true)
      .describe('observe each set of layers of a block after the sets before it were quantized'),
    leastTokenShare: z
      .number()
      .min(0)
      .max(1)
      .default(defaults.leastTokenShare ?? 0.005)
      .describe('share of the calibration tokens that must reach a layer; experts that saw fewer are rounded to nearest'),
    leastTokens: z
      .number()
      .int()
      .min(0)
      .default(defaults.leastTokens ?? 0)
      .describe('the same as a number of tokens; the larger one counts'),
    fewTokensFallback: z
      .enum(FEW_TOKENS)
      .default(defaults.fewTokensFallback ?? 'rtn')
      .describe(
        'what becomes of experts that saw fewer: rtn: rounded to nearest; all-experts: calibrated on the tokens of all experts of their mixture, where they read the hidden states',
      ),
    calibrateAllExperts: z
      .boolean()
      .default(defaults.calibrateAllExperts ?? false)
      .describe('experts of a mixture are calibrated on all tokens, not only on those that are routed to them'),
    keepBetterRows: z
      .boolean()
      .default(defaults.keepBetterRows ?? true)
      .describe('keep round-to-nearest for output rows where it has the smaller error on the calibration data'),
    asymmetricCalibration: z
      .boolean()
      .default(defaults.asymmetricCalibration ?? false)
      .describe("GPTAQ: bring each layer's outputs near those of the full-precision model, whose inputs run beside; twice the passes"),
    gptaqAlpha: z
      .number()
      .min(0)
      .max(1)
      .default(defaults.gptaqAlpha ?? 0.5)
      .describe('share of the correction that asymmetricCalibration makes; less than 1 keeps it from fitting the calibration set alone'),
  });
}

/** Options of {@link gptq}; all have defaults. */
export interface GptqOptions {
  readonly actOrder?: (typeof ACT_ORDERS)[number];
  readonly staticGroups?: boolean;
  readonly dampPercent?: number;
  readonly blockSize?: number;
  readonly trueSequential?: boolean;
  readonly leastTokenShare?: number;
  readonly leastTokens?: number;
  readonly fewTokensFallback?: (typeof FEW_TOKENS)[number];
  readonly calibrateAllExperts?: boolean;
  readonly keepBetterRows?: boolean;
  readonly asymmetricCalibration?: boolean;
  readonly gptaqAlpha?: number;
}

export type ResolvedGptqOptions = Required<GptqOptions>;
