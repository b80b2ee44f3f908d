import type { Checkpoint } from '@calibrant/core';
import { type GgufValue, value } from '../file/metadata.js';
import { type Component, flatten, type TokenizerJson } from './tokenizer-json.js';

type Json = Readonly<Record<string, unknown>>;

/** Name in tokenizer_config.json and config.json, and GGUF's key (with its own spelling). */
const KINDS: readonly (readonly [string, string])[] = [
  ['bos', 'bos_token_id'],
  ['eos', 'eos_token_id'],
  ['unk', 'unknown_token_id'],
  ['sep', 'seperator_token_id'],
  ['pad', 'padding_token_id'],
  ['mask', 'mask_token_id'],
];

/** Tokens that end a turn or a message, by their usual names: no setting of a checkpoint tells them. */
const TURNS: readonly (readonly [string, readonly string[]])[] = [
  ['eot_token_id', ['<|eot_id|>', '<|im_end|>', '<|end|>', '<end_of_turn>', '<|END_OF_TURN_TOKEN|>']],
  ['eom_token_id', ['<|eom_id|>']],
];

/** Reads a JSON side file of a checkpoint, `{}` when there is none. */
export async function readJson(checkpoint: Checkpoint, file: string): Promise<Json> {
  const text = await checkpoint.text(file);
  return text === undefined ? {} : (JSON.parse(text) as Json);
}

/** Keys `tokenizer.ggml.*` of special ids and of what is put around a text, and the chat template. */
export async function specialTokenKeys(checkpoint: Checkpoint, tokenizer: TokenizerJson, idOf: (token: string) => number | undefined) {
  const settings = await readJson(checkpoint, 'tokenizer_config.json');
  const keys = new Map<string, GgufValue>();
  const ids = new Map<string, number>();
  for (const [kind, key] of KINDS) {
    const id = idOfSetting(settings[`${kind}_token`], idOf) ?? firstNumber(checkpoint.config[`${kind}_token_id`]);
    if (id === undefined) continue;
    ids.set(kind, id);
    keys.set(`tokenizer.ggml.${key}`, value.u32(id));
  }
  for (const [key, names] of TURNS) {
    const content = names.find((name) => tokenizer.added_tokens?.some((added) => added.content === name));
    const id = content === undefined ? undefined : idOf(content);
    if (id !== undefined) keys.set(`tokenizer.ggml.${key}`, value.u32(id));
  }
  const around = surroundings(tokenizer.post_processor, idOf);
  for (const kind of ['bos', 'eos'] as const) {
    const explicit = settings[`add_${kind}_token`];
    const id = ids.get(kind);
    const inTemplate = id !== undefined && (kind === 'bos' ? around.first : around.last) === id;
    keys.set(`tokenizer.ggml.add_${kind}_token`, value.bool(typeof explicit === 'boolean' ? explicit : inTemplate));
  }
  for (const [key, entry] of await chatTemplateKeys(checkpoint, settings)) keys.set(key, entry);
  return keys;
}

function idOfSetting(setting: unknown, idOf: (token: string) => number | undefined): number | undefined {
  const token = typeof setting === 'object' && setting !== null ? (setting as Json)['content'] : setting;
  return typeof token === 'string' ? idOf(token) : undefined;
}

function firstNumber(found: unknown): number | undefined {
  const first = Array.isArray(found) ? found[0] : found;
  return typeof first === 'number' ? first : undefined;
}

/** The special ids that a template puts before and after a single text. */
function surroundings(
  processor: Component | null | undefined,
  idOf: (token: string) => number | undefined,
): { first?: number; last?: number } {
  const template = flatten(processor).find(({ type }) => type === 'TemplateProcessing');
  const single = template?.['single'];
  if (!Array.isArray(single)) return {};
  const id = (piece: unknown) => {
    const token = ((piece as Json)?.['SpecialToken'] as Json | undefined)?.['id'];
    return typeof token === 'string' ? idOf(token) : undefined;
  };
  return { first: id(single[0]), last: id(single.at(-1)) };
}

async function chatTemplateKeys(checkpoint: Checkpoint, settings: Json): Promise<Map<string, GgufValue>> {
  const keys = new Map<string, GgufValue>();
  const own =
    (await checkpoint.text('chat_template.jinja')) ??
    settings['chat_template'] ??
    (await readJson(checkpoint, 'chat_template.json'))['chat_template'];
  if (typeof own === 'string') keys.set('tokenizer.chat_template', value.string(own));
  if (!Array.isArray(own)) return keys;
  const named = (own as { name: string; template: string }[]).filter(
    ({ name, template }) => typeof name === 'string' && typeof template === 'string',
  );
  const others = named.filter(({ name }) => name !== 'default');
  if (others.length > 0) keys.set('tokenizer.chat_templates', value.strings(others.map(({ name }) => name)));
  for (const { name, template } of named)
    keys.set(name === 'default' ? 'tokenizer.chat_template' : `tokenizer.chat_template.${name}`, value.string(template));
  return keys;
}
