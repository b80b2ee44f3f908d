import { CalibrantError, type RecipeInput } from '@calibrant/core';
import type { ExecutionNames } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { collect } from '../program.js';
import { assignments } from './methods.js';

/** Options of the command line that say how a model is run. */
export interface ExecutionOptions {
  readonly activations?: string;
  readonly keepActivations?: string[];
  readonly kvCache?: string;
  readonly statistics?: string;
  readonly activationCalibrator?: string;
  readonly activationCalibratorOption?: string[];
}

/** @param statistics what the file is used for */
export function addExecutionOptions(command: Command, statistics: string): Command {
  return command
    .option('--activations <grid>', 'round inputs of linear layers: int8-token, fp8-token, int4-g128, int8-tensor-static, ... or none')
    .option(
      '--keep-activations <pattern>',
      'layers whose inputs stay in floating point, such as *.down_proj.weight; may be repeated',
      collect,
    )
    .option('--kv-cache <grid>', 'round cached keys and values: fp8, int8-head, int4-g64-asym, fp8-tensor-static, ... or none')
    .option(
      '--activation-calibrator <name>',
      'ranges of static grids of inputs and caches: minmax, moving-average, percentile, mse or entropy (default: percentile for integers, minmax for fp8)',
    )
    .option('--activation-calibrator-option <option=value>', 'an option of it, such as percentile=99.9; may be repeated', collect)
    .option('--statistics <file>', `a file of calibrant calibrate, ${statistics}`);
}

/** What was given, or undefined for nothing. */
export function executionNames(options: ExecutionOptions): ExecutionNames | undefined {
  const { activations, keepActivations, kvCache, statistics } = options;
  const calibrator = activationCalibratorOf(options);
  const needs = (message: string, option: string) => new CalibrantError('INVALID_ARGUMENT', message, { option });
  if (calibrator !== undefined && statistics === undefined)
    throw needs('--activation-calibrator chooses from statistics: give a file of calibrant calibrate with --statistics.', '--statistics');
  if (statistics !== undefined && activations === undefined && kvCache === undefined)
    throw needs('--statistics is for static grids: add --activations int8-tensor-static or --kv-cache fp8-tensor-static.', '--statistics');
  if (activations === undefined && keepActivations === undefined && kvCache === undefined) return undefined;
  return { activations, keepActivations, kvCache, statistics, calibrator };
}

/** The fields of a recipe that were given. */
export function executionOf(options: ExecutionOptions, base: RecipeInput): RecipeInput {
  const { activations, keepActivations, kvCache, statistics } = options;
  const activationCalibrator = activationCalibratorOf(options, base.activationCalibrator);
  return {
    ...(statistics === undefined ? {} : { statistics }),
    ...(activations === undefined ? {} : { activations }),
    ...(keepActivations ? { keepActivations } : {}),
    ...(kvCache === undefined ? {} : { kvCache }),
    ...(activationCalibrator ? { activationCalibrator } : {}),
  };
}

type NamedCalibrator = { readonly name: string; readonly options: Record<string, unknown> };

/** The calibrator of static ranges over that of a recipe, whose options it keeps when it is the same. */
function activationCalibratorOf(
  { activationCalibrator, activationCalibratorOption: texts }: ExecutionOptions,
  base?: RecipeInput['activationCalibrator'],
): NamedCalibrator | undefined {
  if (activationCalibrator === undefined && texts === undefined) return undefined;
  const before = typeof base === 'string' ? { name: base } : base;
  const name = activationCalibrator ?? before?.name;
  if (name === undefined)
    throw new CalibrantError('INVALID_ARGUMENT', '--activation-calibrator-option needs --activation-calibrator.', {
      option: '--activation-calibrator-option',
    });
  const kept = before?.name === name ? before.options : {};
  return { name, options: { ...kept, ...assignments(texts, '--activation-calibrator-option') } };
}
