import { CalibrantError, type Checkpoint } from '@calibrant/core';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { type ChatMessage, type ChatTemplateOptions, createChatTemplate } from './chat-template.js';
import { withPlainSplits } from './pre-tokenizer.js';

export interface EncodeOptions {
  /** Add what the model's post-processor adds (such as a bos token); false if absent. */
  readonly addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out; false if absent. */
  readonly skipSpecialTokens?: boolean;
}

/** A model's own tokenizer and chat template. */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
  readonly unkTokenId: number | undefined;
  /** Token ids of a text. Special tokens written in the text are read as such. */
  encode(text: string, options?: EncodeOptions): Int32Array;
  decode(ids: Int32Array | readonly number[], options?: DecodeOptions): string;
  /** Undefined when the tokenizer has no such token. */
  tokenId(token: string): number | undefined;
  readonly hasChatTemplate: boolean;
  /**
   * Writes a conversation as the prompt that the model was trained on.
   *
   * @throws CalibrantError `NOT_FOUND` when the model has no chat template, `INVALID_ARGUMENT` when the template refuses the messages.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options?: ChatTemplateOptions): string;
}

/**
 * Opens the tokenizer of a checkpoint: `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`, run by Hugging Face's JavaScript libraries.
 *
 * @throws CalibrantError `NOT_FOUND` without `tokenizer.json`, `CORRUPT_FILE` when a file cannot be read as what it should be.
 * @example
 * const tokenizer = await openTokenizer(checkpoint);
 * tokenizer.decode(tokenizer.encode('Hello, world!')); // 'Hello, world!'
 */
export async function openTokenizer(checkpoint: Checkpoint): Promise<Tokenizer> {
  const model = await readJson(checkpoint, 'tokenizer.json');
  if (!model)
    throw new CalibrantError(
      'NOT_FOUND',
      `${checkpoint.name} has no tokenizer.json, found ${checkpoint.files.join(', ') || 'no side files'}. Models that come with tokenizer.model alone need it converted once: load the tokenizer in transformers and save it.`,
      { file: 'tokenizer.json' },
    );
  const config = (await readJson(checkpoint, 'tokenizer_config.json')) ?? {};
  const tokenizer = construct(checkpoint, withPlainSplits(model), config);
  const special = (key: string): string | undefined => tokenText(config[key]);
  const id = (token: string | undefined) => (token === undefined ? undefined : tokenizer.token_to_id(token));
  const template = createChatTemplate((await checkpoint.text('chat_template.jinja')) ?? config['chat_template'], {
    name: checkpoint.name,
    tokens: {
      bos_token: special('bos_token'),
      eos_token: special('eos_token'),
      unk_token: special('unk_token'),
      pad_token: special('pad_token'),
    },
  });
  return {
    vocabSize: tokenizer.get_vocab().size,
    bosTokenId: id(special('bos_token')),
    eosTokenId: id(special('eos_token')),
    unkTokenId: id(special('unk_token')),
    encode: (text, { addSpecialTokens = false } = {}) =>
      text === '' && !addSpecialTokens
        ? new Int32Array(0)
        : Int32Array.from(tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids),
    decode: (ids, { skipSpecialTokens = false } = {}) =>
      ids.length === 0 ? '' : tokenizer.decode([...ids], { skip_special_tokens: skipSpecialTokens }),
    tokenId: id,
    hasChatTemplate: template !== undefined,
    applyChatTemplate(messages, options) {
      if (!template)
        throw new CalibrantError(
          'NOT_FOUND',
          `${checkpoint.name} has no chat template: there is no chat_template in tokenizer_config.json and no chat_template.jinja. It is probably a base model; use plain text.`,
        );
      return template(messages, options);
    },
  };
}

function construct(checkpoint: Checkpoint, model: object, config: object): HuggingFaceTokenizer {
  try {
    return new HuggingFaceTokenizer(model, config);
  } catch (cause) {
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${checkpoint.name}: tokenizer.json cannot be used: ${(cause as Error).message}. Check that the file is complete.`,
      { file: 'tokenizer.json', cause },
    );
  }
}

async function readJson(checkpoint: Checkpoint, file: string): Promise<Record<string, unknown> | undefined> {
  const text = await checkpoint.text(file);
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch (cause) {
    throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${file} is not JSON: ${(cause as Error).message}.`, { file, cause });
  }
  throw new CalibrantError('CORRUPT_FILE', `${checkpoint.name}: ${file} must hold a JSON object.`, { file });
}

/** A token is written as a string or as `{ content }`. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  const content = (value as { content?: unknown } | null | undefined)?.content;
  return typeof content === 'string' ? content : undefined;
}
