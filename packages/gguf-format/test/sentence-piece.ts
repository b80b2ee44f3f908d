/** A small BPE tokenizer with byte fallback, in the form of Llama 2's tokenizer.json. */
export function sentencePieceTokenizer() {
  const merges: [string, string][] = [
    ['▁', 't'],
    ['h', 'e'],
    ['▁t', 'he'],
    ['i', 'n'],
    ['▁', 'a'],
    ['n', 'd'],
    ['▁a', 'nd'],
    ['▁', 's'],
    ['r', 'e'],
    ['e', 'r'],
    ['o', 'n'],
    ['▁', '▁'],
    ['in', 'g'],
    ['l', 'l'],
    ['▁', 'he'],
    ['▁he', 'll'],
    ['▁hell', 'o'],
  ];
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const letters = ['▁', ...'abcdefghijklmnopqrstuvwxyz.,'];
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...merges.map((pair) => pair.join('')), ...letters];
  const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content, ...plain })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
}

export const SENTENCES = [
  'hello and the thing',
  'the other one is in the land',
  'hell',
  'and   three spaces, then éß and 漢字.',
  'er re on in ing thething',
  'x',
  ' leading space',
];
