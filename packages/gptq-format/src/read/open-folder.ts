import { type CodedWeight, codedFolder, lastTensor, unpackRows } from '@calibrant/checkpoint';
import { CalibrantError, type Checkpoint, type FormatContext } from '@calibrant/core';
import { openGptqWeight } from './gptq-weight.js';
import { checkParts, PART_NAMES } from './parts.js';
import { type GptqSettings, readSettings } from './settings.js';

/**
 * A GPTQ folder as an ordinary checkpoint: each packed layer appears as `X.weight` in f32. Undefined for any other checkpoint.
 *
 * @throws CalibrantError `UNSUPPORTED` for kernel-specific layouts, `CORRUPT_FILE` for layers whose parts do not fit.
 */
export async function openGptqFolder(checkpoint: Checkpoint, context: FormatContext): Promise<Checkpoint | undefined> {
  const settings = await readSettings(checkpoint);
  if (!settings) return undefined;
  const modules = [...checkpoint.tensors.keys()]
    .filter((name) => name.endsWith('.qweight'))
    .map((name) => name.slice(0, -'.qweight'.length));
  checkWidths(checkpoint, modules, settings);
  const offset = (await storedVersion(checkpoint, modules, settings, context)) === 'gptq' ? 1 : 0;
  const whole = lastTensor(checkpoint);
  const weights: CodedWeight[] = [];
  for (const module of modules)
    weights.push(
      await openGptqWeight(module, {
        checkpoint,
        backend: context.backend,
        whole,
        symmetric: settings.symmetric(module),
        groupSize: settings.groupSize(module),
        zeroOffset: offset,
      }),
    );
  const parts = new Set(modules.flatMap((module) => PART_NAMES.map((part) => `${module}.${part}`)));
  return codedFolder(checkpoint, { weights, parts, backend: context.backend });
}

function checkWidths(checkpoint: Checkpoint, modules: readonly string[], { bits, groupSize }: GptqSettings): void {
  if (bits === undefined) return;
  for (const module of modules) {
    const found = checkParts(checkpoint, module, groupSize(module));
    if (found.bits !== bits)
      throw new CalibrantError(
        'CORRUPT_FILE',
        `${checkpoint.name}: the config says ${bits} bits, and the shapes of ${module} are those of ${found.bits} bits. Correct "bits" in config.json, or download the model again.`,
        { file: found.qweight.file, tensor: found.qweight.name },
      );
  }
}

/**
 * The version that the files are in, whatever they are called: on a symmetric grid every zero point is `2^(bits−1)`, which v2 stores and v1 lowers by one. Published
 * models carry the wrong name (vLLM issue 38966).
 */
async function storedVersion(
  checkpoint: Checkpoint,
  modules: readonly string[],
  settings: GptqSettings,
  { backend, onEvent }: FormatContext,
): Promise<GptqSettings['version']> {
  const module = modules.find((name) => settings.symmetric(name));
  if (module === undefined) return settings.version;
  const { bits, qzeros, shape } = checkParts(checkpoint, module, settings.groupSize(module));
  const stored = (await unpackRows(backend, await checkpoint.read(qzeros.name), bits, shape[0])).data as Uint8Array;
  const middle = 2 ** (bits - 1);
  const found = stored.every((zero) => zero === middle) ? 'gptq_v2' : stored.every((zero) => zero === middle - 1) ? 'gptq' : undefined;
  if (found === undefined || found === settings.version) return settings.version;
  onEvent?.({
    warning: `${checkpoint.name} is called ${settings.version}, but its zero points are those of ${found} (${module}: all ${stored[0]}). It is read as ${found}; other programs may read it as it is called and give garbage. calibrant convert writes it with the right name.`,
    item: 'model',
  });
  return found;
}
