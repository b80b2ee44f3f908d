import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { addCalibrate } from './commands/calibrate.js';
import { addCheck } from './commands/check.js';
import { addCompare } from './commands/compare.js';
import { addConvert } from './commands/convert.js';
import { addDoctor } from './commands/doctor.js';
import { addEval } from './commands/eval.js';
import { addGguf } from './commands/gguf.js';
import { addImatrix } from './commands/imatrix.js';
import { addInspect } from './commands/inspect.js';
import { addOutliers } from './commands/outliers.js';
import { addPlugins } from './commands/plugins.js';
import { addPresets } from './commands/presets.js';
import { addQuantize } from './commands/quantize.js';
import { addReport } from './commands/report.js';
import { addStudy } from './commands/study.js';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

/** In the order of `--help`. */
const COMMANDS: readonly ((program: Command) => Command)[] = [
  addQuantize,
  addConvert,
  addCheck,
  addPresets,
  addCalibrate,
  addEval,
  addReport,
  addCompare,
  addStudy,
  addInspect,
  addImatrix,
  addOutliers,
  addGguf,
  addDoctor,
  addPlugins,
];

/** The whole command line, without running it. */
export function createProgram(): Command {
  const program = new Command('calibrant')
    .description('Quantize large language models, and measure what was lost.')
    .version(version)
    .showHelpAfterError('(calibrant COMMAND --help shows the options)')
    .showSuggestionAfterError()
    .exitOverride();
  for (const add of COMMANDS) add(program).exitOverride();
  return program;
}

/** The options that every command with long work shares. */
export function addCommonOptions(command: Command): Command {
  return command
    .option('--backend <name>', 'where arithmetic runs: cpu or webgpu', 'cpu')
    .option('--threads <n>', 'worker threads of the cpu backend (default: all cores)', wholeNumber)
    .option('--plugin <package>', 'package or file with more plug-ins; may be repeated', collect)
    .option('--json', 'print the result as JSON')
    .option('--quiet', 'no progress');
}

/** A whole number ≥ 1 from the command line. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number, 1 or more.');
  return value;
}

/** A seed from the command line. */
export function seed(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number, 0 or more.');
  return value;
}

/** A span of time from the command line. */
export function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('It must be a number of seconds, 0 or more.');
  return value;
}

/** Every value of an option that may be repeated. One value at a time: `--keep A MODEL` must not take the model for a value. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** Every whole number of an option that may be repeated. */
export function wholeNumbers(text: string, before: readonly number[] = []): number[] {
  return [...before, wholeNumber(text)];
}
