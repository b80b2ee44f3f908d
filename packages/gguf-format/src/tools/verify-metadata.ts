import type { GgufValue } from '../file/metadata.js';
import type { GgufModel } from '../file/read-model.js';
import type { GgufFault } from './verify.js';

/** Sizes without which llama.cpp loads no model, below `<architecture>.`. */
const SIZES = ['context_length', 'embedding_length', 'block_count'];
const TOKEN_IDS = ['bos', 'eos', 'eot', 'unknown', 'seperator', 'padding', 'mask'].map((kind) => `tokenizer.ggml.${kind}_token_id`);
const TOKENS = 'tokenizer.ggml.tokens';

/** What is missing from the metadata of a model or contradicts its tensors. Files of other kinds (importance matrices, adapters) have other keys. */
export function metadataFaults({ metadata, tensors }: GgufModel): GgufFault[] {
  const kind = metadata.get('general.type')?.value ?? 'model';
  if (kind !== 'model') return [];
  const faults: GgufFault[] = [];
  const fault = (at: string, message: string) => faults.push({ at, message: `The metadata "${at}" ${message}.` });
  const architecture = metadata.get('general.architecture');
  if (architecture?.type !== 'string') fault('general.architecture', 'must be there, a string');
  else {
    for (const name of SIZES) {
      const key = `${architecture.value}.${name}`;
      if (wholeNumber(metadata.get(key)) === undefined) fault(key, 'must be there, a whole number');
    }
    const blocks = wholeNumber(metadata.get(`${architecture.value}.block_count`));
    const beyond =
      blocks === undefined ? undefined : [...tensors.keys()].find((name) => Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1) >= blocks);
    if (beyond !== undefined) fault(`${architecture.value}.block_count`, `is ${blocks}, but there is a tensor "${beyond}"`);
  }
  tokenizerFaults(metadata, tensors.get('token_embd.weight')?.shape[0], fault);
  return faults;
}

function tokenizerFaults(
  metadata: GgufModel['metadata'],
  embeddingRows: number | undefined,
  fault: (at: string, message: string) => void,
): void {
  const model = metadata.get('tokenizer.ggml.model');
  if (model?.type !== 'string') {
    fault('tokenizer.ggml.model', 'must be there, a string: without it no runtime can read text');
    return;
  }
  if (model.value === 'none' || model.value === 'no_vocab') return;
  const count = arrayLength(metadata.get(TOKENS), 'string');
  if (count === undefined) {
    fault(TOKENS, 'must be there, an array of strings');
    return;
  }
  if (embeddingRows !== undefined && count !== embeddingRows)
    fault(TOKENS, `has ${count} tokens, but the embedding has ${embeddingRows} rows`);
  for (const [key, type] of [
    ['tokenizer.ggml.token_type', 'i32'],
    ['tokenizer.ggml.scores', 'f32'],
  ]) {
    const entry = metadata.get(key);
    if (entry && arrayLength(entry, type) !== count) fault(key, `must be an array of ${count} ${type}, one for each token`);
  }
  if (model.value === 'gpt2' && arrayLength(metadata.get('tokenizer.ggml.merges'), 'string') === undefined)
    fault('tokenizer.ggml.merges', 'must be there, an array of strings, for a tokenizer of type gpt2');
  for (const key of TOKEN_IDS) {
    const entry = metadata.get(key);
    if (!entry) continue;
    const id = wholeNumber(entry);
    // llama.cpp writes −1, all bits set, for a token that there is not.
    if (id === undefined || (id >= count && id !== 2 ** 32 - 1))
      fault(key, `must be the number of one of ${count} tokens, found ${String(entry.value)}`);
  }
}

function wholeNumber(entry: GgufValue | undefined): number | undefined {
  if (!entry || entry.type === 'array' || (typeof entry.value !== 'number' && typeof entry.value !== 'bigint')) return undefined;
  const number = Number(entry.value);
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

function arrayLength(entry: GgufValue | undefined, of: string): number | undefined {
  return entry?.type === 'array' && entry.of === of ? entry.value.length : undefined;
}
