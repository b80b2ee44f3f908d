import { CalibrantError } from '@calibrant/core';
import { quantizeModel } from '@calibrant/pipeline';
import { type Command, Option } from 'commander';
import { staleOutputWarnings } from '../output/stale-output.js';
import { addCommonOptions, collect, seconds, wholeNumber, wholeNumbers } from '../program.js';
import { type CommonOptions, withRun } from '../run-context.js';
import { addExecutionOptions } from './execution-options.js';
import { summary } from './quantize-summary.js';
import { type RecipeOptions, recipeOf } from './recipe-of.js';
import { addTextOptions } from './text-source.js';

interface QuantizeOptions extends CommonOptions, RecipeOptions {
  readonly out?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly tensorParallel?: number[];
  readonly compareText?: string;
  readonly journalEvery: number;
  readonly journal: boolean;
}

/** `calibrant quantize`: a recipe, or options that make one. */
export function addQuantize(program: Command): Command {
  const command = program
    .command('quantize')
    .description('quantize a model')
    .argument('<model>', 'a folder, a GGUF file, or a Hugging Face repository (org/name, org/name@revision)')
    .option('--out <folder>', 'where the quantized model goes; must be empty or not exist')
    .option('--preset <name>', 'a recipe by name, see calibrant presets; the options below override it')
    .option('--recipe <file>', 'a recipe in JSON; the options below override it')
    .option('--method <name>', 'rtn (no data, default), or calibrated: gptq, awq, smoothquant; several as awq+gptq, smoothquant+gptq')
    .option('--transform <name>', 'a transform before the quantizer: awq, smoothquant; may be repeated', collect)
    .option('--calibrator <name>', 'ranges of integer grids: minmax (default), percentile, mse or entropy')
    .option('--calibrator-option <option=value>', 'an option of the calibrator, such as percentile=99.9; may be repeated', collect)
    .option('--scheme <name>', 'Q4_K_M, Q8_0, int4-g128-asym, int8-channel-sym, fp8-channel, ...')
    .option('--bits <n>', '2 to 8, with --group-size instead of --scheme', wholeNumber)
    .option('--group-size <n>', 'weights per scale; channel or tensor for one scale per row or tensor')
    .option('--symmetric', 'no zero points (always with --format gptq)')
    .addOption(new Option('--format <name>', 'gguf, gptq, awq, bitsandbytes, or compressed-tensors (also called safetensors)'))
    .option(
      '--calibration <source>',
      'self (text that the model generates), random, a file or folder of text (.txt, .md, .jsonl, .json, .parquet), or a data set of the Hub (org/name[@revision][:split]); several by shares: notes.txt=2,code.jsonl,self',
    )
    .option('--compare-text <file>', 'a text that the model is meant for: warn when the calibration text is far from it')
    .option('--keep <pattern>', 'tensors to leave unquantized, by name or with *; may be repeated', collect)
    .option(
      '--override <pattern=scheme>',
      'another scheme or other options of the method for some tensors, such as *.down_proj.weight=int8-g128-sym,dampPercent=0.05; may be repeated',
      collect,
    )
    .option('--quantize-lm-head', 'quantize the output projection, too (formats gptq and compressed-tensors)')
    .option(
      '--set <option=value>',
      'an option of the method, such as actOrder=full, or of a transform: smoothquant.alpha=0.8; may be repeated',
      collect,
    )
    .option('--format-option <option=value>', 'an option of the format, such as version=gptq_v2; may be repeated', collect)
    .addOption(
      new Option(
        '--propagate <what>',
        'what the next block is calibrated on: outputs of the quantized blocks (default with gptq) or of the full-precision ones (default otherwise)',
      ).choices(['quantized', 'full']),
    )
    .option('--rounded-calibration', 'methods see inputs and caches as the dynamic grids of --activations and --kv-cache round them')
    .option('--imatrix <source>', 'importance matrix for GGUF: its file, or self, a file or a folder of text to compute it on')
    .option('--target-size <size>', 'choose a type for each tensor so that the file is at most this large: 4.2GB, 800MB')
    .option('--target-bpw <bits>', 'the same by bits per weight', Number)
    .option('--target-types <type...>', 'types to choose from')
    .option(
      '--tensor-type <pattern=type>',
      'GGUF type of the tensors whose names match a regular expression, a piece or *, such as attn_v=Q6_K; may be repeated, the first match counts',
      collect,
    )
    .option('--output-tensor-type <type>', 'GGUF type of the output projection')
    .option('--token-embedding-type <type>', 'GGUF type of the embedding')
    .option('--pure', 'one GGUF type for all matrices, without the rules of a mixture')
    .addOption(
      new Option(
        '--search <how>',
        'how GGUF blocks are searched: ggml for the bytes of ggml, refined for less error in the same bytes',
      ).choices(['ggml', 'refined']),
    )
    .option('--no-fallback', 'refuse rows that the GGUF type does not divide, instead of taking another type')
    .option('--override-kv <key=type:value>', 'GGUF metadata to add or replace, such as general.license=str:mit; may be repeated', collect)
    .option('--pre <name>', "llama.cpp's name of the tokenizer's pre-tokenizer, where it is not recognized")
    .option('--model-name <name>', "the model's name in the GGUF metadata; else from the source")
    .option('--keep-split', 'as many GGUF files as the source has')
    .option('--split-max-size <size>', 'several GGUF files with at most so much tensor data each: 2GB, 500M')
    .option('--split-max-tensors <n>', 'several GGUF files with at most so many tensors each', wholeNumber)
    .option('--tensor-parallel <n>', 'check that the model can be split over so many GPUs by vLLM; may be repeated', wholeNumbers)
    .option(
      '--journal-every <seconds>',
      'calibrated runs note so often what is finished, so that the same command goes on after it was stopped',
      seconds,
      30,
    )
    .option('--no-journal', 'note nothing, and start anew')
    .option('--force', 'replace what is in the output folder')
    .option('--dry-run', 'show each tensor with its type and size, write nothing');
  return addCommonOptions(
    addExecutionOptions(addTextOptions(command), 'whose tokens and statistics take the place of --calibration'),
  ).action(async (model: string, options: QuantizeOptions) => {
    if (options.out === undefined && !options.dryRun) command.error("error: required option '--out <folder>' not specified");
    checkStatisticsOptions(options);
    const recipe = await recipeOf(options);
    const result = await withRun(options, async ({ registry, backend, reporter, signal }) => {
      if (options.out !== undefined && !options.dryRun)
        for (const warning of await staleOutputWarnings(options.out)) reporter.note(warning);
      return quantizeModel({
        model,
        recipe,
        out: options.out ?? '',
        force: options.force ?? false,
        dryRun: options.dryRun ?? false,
        ...(options.tensorParallel ? { gpus: options.tensorParallel } : {}),
        ...(options.compareText === undefined ? {} : { compareText: options.compareText }),
        ...(options.journal ? { journalEvery: options.journalEvery } : {}),
        registry,
        backend,
        onEvent: reporter.onEvent,
        signal,
      });
    });
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `${summary(result)}\n`);
  });
}

/** Statistics come with their calibration text. */
function checkStatisticsOptions(options: QuantizeOptions): void {
  if (options.statistics === undefined) return;
  const of = {
    '--calibration': 'calibration',
    '--samples': 'samples',
    '--length': 'length',
    '--seed': 'seed',
    '--compare-text': 'compareText',
  } as const;
  for (const [option, key] of [...Object.entries(of), ['--calibration-mode', 'calibrationMode'] as const])
    if (options[key] !== undefined)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `--statistics brings the tokens that it was made on: leave out ${option}, or give it to calibrant calibrate.`,
        { option },
      );
}
