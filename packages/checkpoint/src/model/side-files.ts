import { elementCount, type FormatInput, type OutputFolder, type PlannedTensor } from '@calibrant/core';
import type { ModelLayout } from './model-layout.js';

/** Tokenizer, chat template, generation defaults and preprocessors; not what a source folder holds besides (readme, evaluation, other weights). */
const COPIED =
  /^(tokenizer|tokenizer_config|special_tokens_map|added_tokens|generation_config|vocab|merges|chat_template|preprocessor_config|processor_config|video_preprocessor_config)\.(json|txt|jinja|jsonl)$/;

/** Copies the side files that a runtime needs, and writes the config, the format's own files and the recipe. */
export async function writeSideFiles(
  { checkpoint, recipe }: FormatInput,
  plan: readonly PlannedTensor[],
  folder: OutputFolder,
  described: ReturnType<ModelLayout['describe']>,
): Promise<void> {
  for (const file of checkpoint.files) {
    if (!COPIED.test(file)) continue;
    const text = await checkpoint.text(file);
    if (text !== undefined) await folder.writeText(file, text);
  }
  const { quantization_config: _, ...kept } = checkpoint.config;
  const config = withFloatType(kept, plan);
  await folder.writeText('config.json', json(described ? { ...config, quantization_config: described.quantization } : config));
  for (const [name, content] of Object.entries(described?.files ?? {})) await folder.writeText(name, json(content));
  await folder.writeText('calibrant.json', json({ recipe }));
}

const FLOAT_NAMES = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;

/** Names the type of most unquantized values, which is the type that runtimes compute in, under the key that the source used. */
function withFloatType(config: Record<string, unknown>, plan: readonly PlannedTensor[]): Record<string, unknown> {
  const counts = new Map<keyof typeof FLOAT_NAMES, number>();
  for (const { scheme, shape } of plan)
    if (scheme.kind === 'float') counts.set(scheme.dtype, (counts.get(scheme.dtype) ?? 0) + elementCount(shape));
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  return most ? { ...config, ['dtype' in config ? 'dtype' : 'torch_dtype']: FLOAT_NAMES[most[0]] } : config;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
