import path from 'node:path';
import { CalibrantError } from '@calibrant/core';
import { type NamedRecipe, studyCalibration } from '@calibrant/pipeline';
import { renderStudy, STUDY_HEAD, studyFindings, studyRows } from '@calibrant/report';
import { type Command, InvalidArgumentError } from 'commander';
import { renderTable } from '../output/table.js';
import { checkFolder, writeFiles } from '../output/write-files.js';
import { addCommonOptions, collect, wholeNumber } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { factorOf } from './outliers-inject.js';
import { readRecipe } from './recipe-of.js';

interface StudyOptions extends CommonOptions {
  readonly sets: string[];
  readonly methods: string[];
  readonly text: string[];
  readonly scheme: string;
  readonly samples: number[];
  readonly length: number;
  readonly seeds: number;
  readonly windows?: number;
  readonly withOutlierTwin?: number | true;
  readonly twinChannels: number;
  readonly recipe?: string;
  readonly out: string;
}

/** `calibrant study calibration`: how much the choice of the calibration set matters. */
export function addStudy(program: Command): Command {
  const study = program.command('study').description('experiments that compare many quantized models');
  const command = study
    .command('calibration')
    .description('how much the calibration set matters: every method on every set, with intervals over seeds')
    .argument('<model...>', 'models to compare, such as a model and its twin with outliers')
    .requiredOption(
      '--sets <names>',
      'calibration sets, separated by commas: text files, folders, self, random, nonsense, shuffled:FILE',
      list,
    )
    .requiredOption('--text <file>', 'a held-out text to measure on; may be repeated', collect)
    .option(
      '--methods <names>',
      'methods, separated by commas: rtn, gptq, awq, awq+gptq, names of presets, recipes (.json) with schemes of their own',
      list,
      ['rtn', 'gptq'],
    )
    .option('--scheme <name>', 'the grid of the weights', 'int4-g128-asym')
    .option('--samples <sizes>', 'sequences of each set, separated by commas', sizes, [128])
    .option('--length <n>', 'tokens per sequence', wholeNumber, 512)
    .option('--seeds <n>', 'how many seeds', wholeNumber, 3)
    .option('--windows <n>', 'at most this many windows of each text', wholeNumber)
    .option(
      '--with-outlier-twin [factor]',
      'also a twin of each model that computes the same but has channels so much larger (default 50)',
      factorOf,
    )
    .option('--twin-channels <n>', 'how many channels of the twin are larger', wholeNumber, 4)
    .option('--recipe <file>', 'a recipe in JSON with more options; method, scheme and calibration set are replaced')
    .option('--out <folder>', 'where study.html and study.json go; a study that was stopped goes on from there', 'study');
  addCommonOptions(command).action(async (models: string[], options: StudyOptions) => {
    const recipe = options.recipe === undefined ? undefined : await readRecipe(options.recipe);
    const methods = await Promise.all(options.methods.map(methodOf));
    const factor = options.withOutlierTwin === true ? 50 : options.withOutlierTwin;
    const saved = path.join(options.out, 'study.json');
    await checkFolder(options.out);
    const result = await withRun(options, ({ registry, backend, reporter, signal }) =>
      studyCalibration({
        models,
        sets: options.sets,
        methods,
        ...(factor === undefined ? {} : { outlierTwin: { channels: options.twinChannels, factor } }),
        texts: options.text,
        scheme: options.scheme,
        samples: options.samples,
        length: options.length,
        seeds: Array.from({ length: options.seeds }, (_, seed) => seed),
        ...(options.windows === undefined ? {} : { maxWindows: options.windows }),
        ...(recipe ? { recipe } : {}),
        saved,
        registry,
        backend,
        onEvent: reporter.onEvent,
        signal,
      }),
    );
    await writeFiles(options.out, { 'study.json': `${JSON.stringify(result, null, 2)}\n`, 'study.html': renderStudy(result) });
    if (options.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    else {
      const table = renderTable([...STUDY_HEAD], studyRows(result), ['left', 'left', 'left', 'right', 'left', 'right', 'right']);
      process.stdout.write(
        `${table}\n\n${studyFindings(result).join('\n')}\nWritten: ${path.join(options.out, 'study.html')}, study.json\n`,
      );
    }
  });
  return study;
}

/** A recipe file is a method of its name. */
async function methodOf(name: string): Promise<string | NamedRecipe> {
  if (!name.endsWith('.json')) return name;
  return { name: path.basename(name, '.json'), recipe: await readRecipe(name) };
}

function list(text: string): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  if (names.length === 0) throw new InvalidArgumentError('Give at least one name.');
  if (new Set(names).size < names.length)
    throw new CalibrantError('INVALID_ARGUMENT', `"${text}" names something twice.`, { option: text });
  return names;
}

function sizes(text: string): number[] {
  return list(text).map(wholeNumber);
}
