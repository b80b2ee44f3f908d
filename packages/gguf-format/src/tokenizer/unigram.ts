import { CalibrantError } from '@calibrant/core';
import { type GgufValue, value } from '../file/metadata.js';
import { type Component, flatten, type TokenizerJson } from './tokenizer-json.js';

export const CHARSMAP = 'tokenizer.ggml.precompiled_charsmap';
export const MERGES_SPACES = 'tokenizer.ggml.remove_extra_whitespaces';

/** The keys of llama.cpp's `t5` tokenizer, SentencePiece's Unigram, beside tokens and types. */
export function unigramKeys({ model, normalizer, pre_tokenizer }: TokenizerJson, vocabSize: number, file: string): [string, GgufValue][] {
  const { scores, unknown } = model.unigram ?? { scores: [], unknown: 0 };
  const steps = [...flatten(normalizer), ...flatten(pre_tokenizer)];
  const strange = steps.find(({ type }) => !KNOWN.includes(type));
  if (strange)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${file}: llama.cpp's Unigram tokenizer has nothing like the step ${JSON.stringify(strange)}. Known here: ${KNOWN.join(', ')}.`,
      { file },
    );
  const charsmap = steps.find(({ type }) => type === 'Precompiled')?.['precompiled_charsmap'];
  return [
    ['tokenizer.ggml.scores', value.f32s(Array.from({ length: vocabSize }, (_, id) => scores[id] ?? 0))],
    ['tokenizer.ggml.unknown_token_id', value.u32(unknown)],
    [MERGES_SPACES, value.bool(steps.some(mergesSpaces))],
    ...(typeof charsmap === 'string' ? [[CHARSMAP, value.u8s(bytesOf(charsmap))] as [string, GgufValue]] : []),
  ];
}

const KNOWN = ['Precompiled', 'Strip', 'Replace', 'Prepend', 'Metaspace', 'WhitespaceSplit'];

/** Whether runs of spaces become one: by splitting at them, or by an expression for two and more. */
function mergesSpaces({ type, pattern }: Component): boolean {
  return type === 'WhitespaceSplit' || (type === 'Replace' && (pattern as { Regex?: string } | undefined)?.Regex === ' {2,}');
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** The parts of tokenizer.json that those keys stand for. */
export function unigramJson(
  tokens: readonly string[],
  settings: {
    readonly scores: readonly number[];
    readonly unknown: number;
    readonly charsmap: readonly number[] | undefined;
    readonly mergesSpaces: boolean;
    readonly spaceFirst: boolean;
  },
) {
  const { scores, unknown, charsmap, mergesSpaces: merges, spaceFirst } = settings;
  const text = charsmap && btoa(Array.from(charsmap, (byte) => String.fromCharCode(byte)).join(''));
  const normalizers = [
    ...(text === undefined ? [] : [{ type: 'Precompiled', precompiled_charsmap: text }]),
    ...(merges
      ? [
          { type: 'Strip', strip_left: true, strip_right: true },
          { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
        ]
      : []),
  ];
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: spaceFirst ? 'always' : 'never', split: true };
  return {
    normalizer: normalizers.length > 0 ? { type: 'Sequence', normalizers } : null,
    pre_tokenizer: metaspace,
    post_processor: null,
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: unknown, vocab: tokens.map((token, id) => [token, scores[id] ?? 0]), byte_fallback: false },
  };
}
