import type { GgufFile } from '../file/gguf-file.js';
import { type MetadataReader, metadataReader } from '../file/metadata.js';
import { preTokenizerOf, type Split } from '../tokenizer/pre-tokenizers.js';
import { SPACE, TOKEN_TYPE } from '../tokenizer/tokenizer-keys.js';
import { CHARSMAP, MERGES_SPACES, unigramJson } from '../tokenizer/unigram.js';

/** Side files of a checkpoint by name. */
export type SideFiles = ReadonlyMap<string, string>;

/** tokenizer.json and tokenizer_config.json, reconstructed from the metadata of a file; none for a file without a vocabulary that is read here. */
export function tokenizerFiles({ name: file, metadata }: Pick<GgufFile, 'name' | 'metadata'>): SideFiles {
  const reader = metadataReader(file, metadata);
  const model = reader.string('tokenizer.ggml.model');
  const tokens = reader.strings('tokenizer.ggml.tokens');
  if (!tokens || (model !== 'gpt2' && model !== 'llama' && model !== 't5')) return new Map();
  const types = reader.numbers('tokenizer.ggml.token_type') ?? [];
  const typeOf = (id: number) => types[id] ?? TOKEN_TYPE.normal;
  const special = (kind: string) => {
    const id = reader.number(`tokenizer.ggml.${kind}_token_id`);
    return id === undefined || id >= tokens.length ? undefined : { id, content: tokens[id] };
  };
  const added = tokens.flatMap((content, id) => {
    const type = typeOf(id);
    if (type !== TOKEN_TYPE.control && type !== TOKEN_TYPE.userDefined && type !== TOKEN_TYPE.unknown) return [];
    const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return [{ id, content, ...plain, special: type !== TOKEN_TYPE.userDefined }];
  });
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id] as const).filter(([, id]) => typeOf(id) !== TOKEN_TYPE.unused));
  const [bos, eos, unk] = [special('bos'), special('eos'), special('unknown')];
  const addBos = reader.boolean('tokenizer.ggml.add_bos_token') ?? model === 'llama';
  const addEos = reader.boolean('tokenizer.ggml.add_eos_token') ?? false;
  const before = addBos ? bos : undefined;
  const after = addEos ? eos : undefined;
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    ...(model === 'gpt2'
      ? byteLevel(reader.string('tokenizer.ggml.pre') ?? 'gpt-2', vocab, reader.strings('tokenizer.ggml.merges') ?? [])
      : model === 't5'
        ? unigramJson(tokens, {
            scores: reader.numbers('tokenizer.ggml.scores') ?? [],
            unknown: unk?.id ?? 2,
            charsmap: reader.numbers(CHARSMAP),
            mergesSpaces: reader.boolean(MERGES_SPACES) ?? false,
            spaceFirst: reader.boolean('tokenizer.ggml.add_space_prefix') ?? false,
          })
        : sentencePiece(tokens, typeOf, vocab, {
            scores: reader.numbers('tokenizer.ggml.scores') ?? [],
            unknown: unk?.content,
            spaceFirst: reader.boolean('tokenizer.ggml.add_space_prefix') ?? true,
          })),
    ...(before || after ? { post_processor: template(before, after) } : {}),
  };
  const config = {
    ...(bos ? { bos_token: bos.content } : {}),
    ...(eos ? { eos_token: eos.content } : {}),
    ...(unk ? { unk_token: unk.content } : {}),
    add_bos_token: addBos,
    add_eos_token: addEos,
    clean_up_tokenization_spaces: false,
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...chatTemplates(reader),
  };
  return new Map([
    ['tokenizer.json', JSON.stringify(tokenizer)],
    ['tokenizer_config.json', JSON.stringify(config)],
  ]);
}

/** One template as text, several by name. */
function chatTemplates(reader: MetadataReader): { chat_template?: unknown } {
  const own = reader.string('tokenizer.chat_template');
  const named = (reader.strings('tokenizer.chat_templates') ?? []).flatMap((name) => {
    const template = reader.string(`tokenizer.chat_template.${name}`);
    return template === undefined ? [] : [{ name, template }];
  });
  if (named.length > 0) return { chat_template: [...(own === undefined ? [] : [{ name: 'default', template: own }]), ...named] };
  return own === undefined ? {} : { chat_template: own };
}

/** What a person should know when it cannot be told how a byte-level tokenizer splits text: its name is missing (in files before 2024) or none that is known here. */
export function unknownSplits({ name: file, metadata }: Pick<GgufFile, 'name' | 'metadata'>): string | undefined {
  const reader = metadataReader(file, metadata);
  const pre = reader.string('tokenizer.ggml.pre');
  if (reader.string('tokenizer.ggml.model') !== 'gpt2' || (pre !== undefined && preTokenizerOf(pre))) return undefined;
  return `${file} ${pre === undefined ? 'does not name' : `names "${pre}", which is unknown here, as`} the way in which its tokenizer splits text ("tokenizer.ggml.pre"): it is split as GPT-2 does, which may not be what the model was trained on.`;
}

/** Byte-level BPE. An unknown pre-tokenizer is taken for GPT-2's. */
function byteLevel(pre: string, vocab: Record<string, number>, merges: readonly string[]) {
  const known = preTokenizerOf(pre);
  const splits = known?.splits ?? ['gpt-2'];
  const bytes = (useRegex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: useRegex });
  const steps = splits.map((split) => (split === 'gpt-2' ? bytes(true) : component(split)));
  const pretokenizers = splits.includes('gpt-2') ? steps : [...steps, bytes(false)];
  return {
    normalizer: known?.name === 'qwen2' ? { type: 'NFC' } : null,
    pre_tokenizer: pretokenizers.length === 1 ? pretokenizers[0] : { type: 'Sequence', pretokenizers },
    post_processor: bytes(true),
    decoder: bytes(true),
    model: {
      type: 'BPE',
      ...BPE_DEFAULTS,
      unk_token: null,
      byte_fallback: false,
      fuse_unk: false,
      ignore_merges: known?.ignoreMerges === true,
      vocab,
      merges: merges.map((merge) => {
        const space = merge.indexOf(' ', 1);
        return [merge.slice(0, space), merge.slice(space + 1)];
      }),
    },
  };
}

function component(split: Exclude<Split, 'gpt-2'>) {
  if (split === 'runs of punctuation') return { type: 'Punctuation', behavior: 'Contiguous' };
  if (typeof split === 'string') return { type: 'Digits', individual_digits: split === 'single digits' };
  return { type: 'Split', pattern: { Regex: split.regex }, behavior: 'Isolated', invert: false };
}

const BPE_DEFAULTS = { dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null };

/** Far beyond the pieces of any vocabulary (SentencePiece stops at 16 letters unless told otherwise); bounds the work on a hostile file. */
const LONGEST_PIECE = 1024;

/** SentencePiece's BPE: every split of a piece into two pieces is a merge, ranked by the score of the piece. */
function sentencePiece(
  tokens: readonly string[],
  typeOf: (id: number) => number,
  vocab: Record<string, number>,
  {
    scores,
    unknown,
    spaceFirst,
  }: { readonly scores: readonly number[]; readonly unknown: string | undefined; readonly spaceFirst: boolean },
) {
  const ids = new Map(Object.entries(vocab));
  const lengths = new Set([...ids.keys()].map((piece) => piece.length));
  const merges: { pair: [string, string]; score: number; left: number; right: number }[] = [];
  for (const [id, token] of tokens.entries()) {
    if (typeOf(id) !== TOKEN_TYPE.normal || token.length > LONGEST_PIECE) continue;
    for (let at = 1; at < token.length; at++) {
      if (!lengths.has(at) || !lengths.has(token.length - at)) continue;
      const pair: [string, string] = [token.slice(0, at), token.slice(at)];
      const [left, right] = [ids.get(pair[0]), ids.get(pair[1])];
      if (left !== undefined && right !== undefined) merges.push({ pair, score: scores[id] ?? 0, left, right });
    }
  }
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right);
  const normalizers = [
    ...(spaceFirst ? [{ type: 'Prepend', prepend: SPACE }] : []),
    { type: 'Replace', pattern: { String: ' ' }, content: SPACE },
  ];
  const decoders = [
    { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
    ...(spaceFirst ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
  ];
  return {
    normalizer: { type: 'Sequence', normalizers },
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Sequence', decoders },
    model: {
      type: 'BPE',
      ...BPE_DEFAULTS,
      unk_token: unknown ?? null,
      byte_fallback: true,
      fuse_unk: true,
      ignore_merges: false,
      vocab,
      merges: merges.map(({ pair }) => pair),
    },
  };
}

/** What is put around a text, around one or two texts. */
function template(before: { id: number; content: string } | undefined, after: { id: number; content: string } | undefined) {
  const token = (of: { content: string } | undefined, typeId: number) =>
    of ? [{ SpecialToken: { id: of.content, type_id: typeId } }] : [];
  const text = (id: string, typeId: number) => ({ Sequence: { id, type_id: typeId } });
  const around = (id: string, typeId: number) => [...token(before, typeId), text(id, typeId), ...token(after, typeId)];
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(
      [before, after].flatMap((of) => (of ? [[of.content, { id: of.content, ids: [of.id], tokens: [of.content] }]] : [])),
    ),
  };
}
