import type { ExecutionNames } from '@calibrant/pipeline';
import type { Command } from 'commander';
import { collect } from '../program.js';

/** Options of the command line that say how a model is run. */
export interface ExecutionOptions {
  readonly activations?: string;
  readonly keepActivations?: string[];
  readonly kvCache?: string;
}

export function addExecutionOptions(command: Command): Command {
  return command
    .option('--activations <grid>', 'round inputs of linear layers: int8-token, fp8-token, int4-g128, int8-tensor-static, ... or none')
    .option(
      '--keep-activations <pattern>',
      'layers whose inputs stay in floating point, such as *.down_proj.weight; may be repeated',
      collect,
    )
    .option('--kv-cache <grid>', 'round cached keys and values: fp8, int8-head, int4-g64-asym, fp8-tensor-static, ... or none');
}

/** What was given, or undefined for nothing. */
export function executionNames({ activations, keepActivations, kvCache }: ExecutionOptions): ExecutionNames | undefined {
  if (activations === undefined && keepActivations === undefined && kvCache === undefined) return undefined;
  return { activations, keepActivations, kvCache };
}
