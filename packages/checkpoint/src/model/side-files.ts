import { type Checkpoint, elementCount, type FormatInput, type OutputFolder, type PlannedTensor } from '@calibrant/core';
import type { ModelLayout } from './model-layout.js';

/** Tokenizer, chat template, generation defaults and preprocessors; not what a source folder holds besides (readme, evaluation, other weights). */
const COPIED =
  /^(tokenizer|tekken|tokenizer_config|special_tokens_map|added_tokens|generation_config|vocab|merges|chat_template|preprocessor_config|processor_config|video_preprocessor_config)\.(json|txt|jinja|jsonl)$/;

/** The same as bytes: SentencePiece models and tiktoken ranks, which slow tokenizers and some servers read. */
const COPIED_BYTES = /^(tokenizer|spiece|sentencepiece\.bpe)\.model$|^[\w.-]+\.tiktoken$/;

/** Copies what a runtime needs beside the weights: tokenizer (text and binary files), chat template, generation defaults, preprocessors. */
export async function copySideFiles(checkpoint: Checkpoint, folder: OutputFolder): Promise<void> {
  for (const file of checkpoint.files) {
    const text = COPIED.test(file) ? await checkpoint.text(file) : undefined;
    if (text !== undefined) await folder.writeText(file, text);
    const bytes = COPIED_BYTES.test(file) ? await checkpoint.bytes?.(file) : undefined;
    if (bytes === undefined) continue;
    const sink = await folder.create(file, { bytes: bytes.byteLength });
    await sink.write(0, bytes);
    await sink.close();
  }
}

/** Copies the side files that a runtime needs, and writes the config, the format's own files and the recipe. */
export async function writeSideFiles(
  { checkpoint, recipe }: FormatInput,
  plan: readonly PlannedTensor[],
  folder: OutputFolder,
  described: ReturnType<ModelLayout['describe']>,
): Promise<void> {
  await copySideFiles(checkpoint, folder);
  const { quantization_config: _, ...kept } = checkpoint.config;
  const config = withFloatType(kept, plan);
  const text = json(described ? { ...config, quantization_config: described.quantization } : config);
  await folder.writeText('config.json', (described?.floats ?? []).reduce(withDecimalPoint, text));
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

function withDecimalPoint(text: string, key: string): string {
  return text.replace(new RegExp(`("${key}": -?\\d+)(?=[,\\n])`), '$1.0');
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
