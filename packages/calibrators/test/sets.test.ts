import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type CalibrationOptions,
  type CalibrationTokenizer,
  calibrationSet,
  calibrationSetFromRandom,
  calibrationSetFromText,
  compareTokens,
  comparisonWarning,
} from '@calibrant/calibrators';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';

/** One token per character, and a chat template. */
const tokenizer: CalibrationTokenizer = {
  encode: (text) => Int32Array.from(text, (character) => character.codePointAt(0)!),
  applyChatTemplate: (messages) => messages.map(({ role, content }) => `<${role}>${content}`).join(''),
};
const text = (set: { sequences: readonly Int32Array[] }) => set.sequences.map((ids) => String.fromCodePoint(...ids));
const documents = (...texts: string[]) => texts.map((value, i) => ({ name: `document ${i}`, text: value }));

describe('modes of packing', () => {
  const size = { samples: 100, length: 4, seed: 0 };

  it('documents: every token is kept, long documents become several sequences, none spans two', () => {
    const set = calibrationSetFromText(documents('abcdefghi', 'xy', 'z'), tokenizer, { ...size, mode: 'documents' });
    expect(text(set).sort()).toEqual(['abcd', 'efgh', 'xy']);
    expect(set.mode).toBe('documents');
  });

  it('truncate: the beginning of each document, and a warning with the number of tokens left out', () => {
    const set = calibrationSetFromText(documents('abcdefghi', 'xyz'), tokenizer, { ...size, mode: 'truncate' });
    expect(text(set).sort()).toEqual(['abcd', 'xyz']);
    expect(set.warnings.at(-1)).toMatch(/1 of 2 documents are longer than 4 tokens.*leaves out 5 of 12 tokens/);
  });

  it('sets are nested in every mode and from every source', async () => {
    const words = documents(...Array.from({ length: 30 }, (_, i) => 'abcdefghij'.repeat((i % 4) + 1)));
    for (const mode of ['pack', 'documents', 'truncate'] as const)
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 99 }), (samples, seed) => {
          const of = (count: number) => calibrationSetFromText(words, tokenizer, { samples: count, length: 8, seed, mode }).sequences;
          expect(of(25).slice(0, samples)).toEqual(of(samples));
        }),
        { numRuns: 20 },
      );
    const random = (samples: number) => calibrationSetFromRandom(50, { samples, length: 6, seed: 3 }).sequences;
    expect(random(9).slice(0, 4)).toEqual(random(4));
    expect(Math.max(...random(9).flatMap((ids) => [...ids]))).toBeLessThan(50);
  });
});

describe('text that the tokenizer was not made for', () => {
  const size = { samples: 200, length: 10, seed: 0 };

  it('is warned about by the share of unknown tokens', () => {
    const set = calibrationSetFromText(documents('ab?d'.repeat(500)), { ...tokenizer, unkTokenId: 63 }, size);
    expect(set.warnings).toEqual([expect.stringMatching(/25\.0 % of the calibration tokens \(500 of 2000\)/)]);
  });

  it('is warned about by tokens per character, where the tokenizer falls back to bytes', () => {
    const bytes: CalibrationTokenizer = { encode: (value) => Int32Array.from(new TextEncoder().encode(value)) };
    expect(calibrationSetFromText(documents('日本語'.repeat(500)), bytes, size).warnings).toEqual([
      expect.stringMatching(/3\.00 tokens per character/),
    ]);
    expect(calibrationSetFromText(documents('English'.repeat(500)), bytes, size).warnings).toEqual([]);
  });

  it('is not found where tokens are words', () => {
    const words: CalibrationTokenizer = { encode: (value) => Int32Array.from(value.split(' '), (word) => word.length) };
    expect(calibrationSetFromText(documents('five words of some text '.repeat(500)), words, size).warnings).toEqual([]);
  });
});

describe('files', () => {
  let folder: string;
  const at = (name: string) => path.join(folder, name);
  const write = (name: string, content: string | Uint8Array) => writeFile(at(name), content);
  const read = (name: string, more: Partial<CalibrationOptions> = {}, by = tokenizer) =>
    calibrationSet({ source: 'file', path: at(name), samples: 9, length: 4, seed: 0, mode: 'documents', ...more }, { tokenizer: by });
  const parquet = (columnData: Parameters<typeof parquetWriteBuffer>[0]['columnData']) =>
    new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 2 }));

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'calibrant-sets-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('chat transcripts are written by the chat template, in both usual layouts', async () => {
    await write(
      'chat.jsonl',
      [
        { messages: [{ role: 'user', content: 'a' }] },
        {
          conversations: [
            { from: 'human', value: 'b' },
            { from: 'gpt', value: 'c' },
          ],
        },
      ]
        .map((line) => JSON.stringify(line))
        .join('\n'),
    );
    expect(text(await read('chat.jsonl', { length: 99 })).sort()).toEqual(['<user>a', '<user>b<assistant>c']);
    await expect(read('chat.jsonl', {}, { encode: tokenizer.encode })).rejects.toThrow(/line 1 is a conversation.*chat template/);
    await write('odd.jsonl', '{"messages":[{"role":"user"}]}');
    await expect(read('odd.jsonl')).rejects.toThrow(/odd\.jsonl, line 1: each message must have/);
  });

  it('contents in parts of text are joined; other parts are refused', async () => {
    const turn = (content: unknown) => JSON.stringify({ messages: [{ role: 'user', content }] });
    await write(
      'parts.jsonl',
      turn([
        { type: 'text', text: 'a' },
        { type: 'text', text: 'b' },
      ]),
    );
    expect(text(await read('parts.jsonl', { length: 99 }))).toEqual(['<user>ab']);
    await write('image.jsonl', turn([{ type: 'image_url', image_url: 'x' }]));
    await expect(read('image.jsonl')).rejects.toThrow(/image\.jsonl, line 1: each message must have.*"content" of text/);
  });

  it('JSON files are lists of records, a record, or JSON Lines, and never taken for plain text', async () => {
    await write('list.json', '[{"text":"abcd"},\n{"text":"efgh"}]');
    await write('one.json', '{"text":"abcd"}');
    await write('lines.json', '{"text":"abcd"}\n{"text":"efgh"}\n');
    expect(text(await read('list.json')).sort()).toEqual(['abcd', 'efgh']);
    expect(text(await read('one.json'))).toEqual(['abcd']);
    expect(text(await read('lines.json')).sort()).toEqual(['abcd', 'efgh']);
    await write('odd.json', '[{"text":"a"},{"instruction":"b"}]');
    await expect(read('odd.json')).rejects.toThrow(
      /odd\.json, entry 1 must hold a string "text" or a list "messages"; it holds instruction/,
    );
    await write('half.json', '[{"text":');
    await expect(read('half.json')).rejects.toThrow(/half\.json, line 1 is not JSON/);
  });

  it('mixtures deal the sequences of their parts by shares, and are nested', async () => {
    await write('letters.txt', 'abcd'.repeat(8));
    await write('digits.txt', '0123'.repeat(8));
    const part = (name: string, share = 1) => ({ source: 'file' as const, path: at(name), share });
    const mixed = (samples: number, parts: CalibrationOptions['parts']) =>
      calibrationSet({ source: 'mixture', parts, samples, length: 4, seed: 0 }, { tokenizer, vocabSize: 9 });
    const set = await mixed(6, [part('letters.txt', 2), part('digits.txt')]);
    expect(text(set)).toEqual(['abcd', '0123', 'abcd', 'abcd', '0123', 'abcd']);
    expect(text(await mixed(4, [part('letters.txt', 2), part('digits.txt')]))).toEqual(text(set).slice(0, 4));
    expect(set).toMatchObject({ source: 'mixture', tokens: 24, available: 64, mode: 'pack' });
    expect(set.warnings).toEqual([expect.stringMatching(/^Calibrating on 6 sequences \(24 tokens\)/)]);
    const short = await mixed(40, [part('letters.txt'), part('digits.txt', 3)]);
    expect(short.sequences).toHaveLength(16);
    expect(short.warnings).toEqual([
      expect.stringMatching(/^The text gives 16 calibration sequences .* of the 40 × 4/),
      expect.stringMatching(/^Calibrating on 16 sequences/),
      expect.stringMatching(/letters\.txt: The text gives 8 calibration sequences .* of the 10 × 4/),
      expect.stringMatching(/digits\.txt: The text gives 8 calibration sequences .* of the 30 × 4/),
    ]);
    const random = await mixed(2, [part('letters.txt'), { source: 'random', share: 1 }]);
    expect(random.sequences[1].every((id) => id < 9)).toBe(true);
    await expect(mixed(1, [part('letters.txt'), part('digits.txt')])).rejects.toThrow(
      /Of 1 calibration sequences none would come from .*digits/,
    );
    await expect(mixed(2, [])).rejects.toThrow(/needs calibration\.parts/);
    await expect(read('letters.txt', { parts: [part('digits.txt')] })).rejects.toThrow(/parts is for the source "mixture", not "file"/);
  });

  it('parquet is read by its column of text, over row groups', async () => {
    await write(
      'data.parquet',
      parquet([
        { name: 'id', data: [1, 2, 3] },
        { name: 'text', data: ['one', 'two', 'three'] },
      ]),
    );
    expect(text(await read('data.parquet', { length: 9 })).sort()).toEqual(['one', 'three', 'two']);
    await write('other.parquet', parquet([{ name: 'body', data: ['one'] }]));
    await expect(read('other.parquet')).rejects.toMatchObject({
      code: 'CORRUPT_FILE',
      message: expect.stringMatching(/no column text.*body/),
    });
    await write('cut.parquet', new TextEncoder().encode('PAR1 and nothing'));
    await expect(read('cut.parquet')).rejects.toMatchObject({
      code: 'CORRUPT_FILE',
      message: expect.stringMatching(/cannot be read as parquet/),
    });
    await expect(read('missing.parquet')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('UTF-16 is named as such, with and without a byte order mark, with the way to convert it', async () => {
    for (const [name, bytes] of [
      ['marked.txt', Buffer.from('\ufeffsome text', 'utf16le')],
      ['big.txt', Buffer.from('\ufeffsome text', 'utf16le').swap16()],
      ['bare.txt', Buffer.from('some text without a mark', 'utf16le')],
    ] as const) {
      await write(name, bytes);
      await expect(read(name)).rejects.toMatchObject({
        code: 'CORRUPT_FILE',
        message: expect.stringMatching(/is UTF-16 text.*iconv -f UTF-16/),
      });
    }
  });

  it('a set says what it was made of: hashes of its tokens and of its text', async () => {
    await write('hash.txt', 'abcdefgh');
    const set = await read('hash.txt', { mode: 'pack' });
    const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    expect(set.textSha256).toBe(sha256(new TextEncoder().encode('abcdefgh')));
    expect(set.sha256).toBe(sha256(new Uint8Array(Int32Array.from(set.sequences.flatMap((ids) => [...ids])).buffer)));
  });

  it('data sets of the Hub and random tokens need what makes them', async () => {
    await write('hub.jsonl', '{"text":"abcd"}');
    const hub = { source: 'hub', path: 'org/name', samples: 1, length: 4, seed: 0 } as const;
    const set = await calibrationSet(hub, { tokenizer, downloadDataset: async (name) => [at(`${name.replace('org/name', 'hub')}.jsonl`)] });
    expect([text(set), set.source]).toEqual([['abcd'], 'hub']);
    await expect(calibrationSet({ ...hub, source: 'random' }, { vocabSize: 9 })).rejects.toThrow(/path.*no use/);
    await expect(calibrationSet({ ...hub, path: undefined }, { tokenizer })).rejects.toThrow(/needs calibration\.path/);
  });
});

describe('the distance between calibration and evaluation tokens', () => {
  const ids = (...values: number[]) => [Int32Array.from(values)];

  it('is the Jensen-Shannon divergence of unigrams: 0 alike, 1 disjoint, a closed form in between', () => {
    expect(compareTokens(ids(1, 2, 1, 2), ids(2, 1))).toMatchObject({ divergence: 0, unseenShare: 0 });
    expect(compareTokens(ids(1, 2), ids(3, 4, 4))).toMatchObject({ divergence: 1, unseenShare: 1 });
    // P = (1, 0), Q = (½, ½), M = (¾, ¼): ½ log2(4/3) + ½ (½ log2(2/3) + ½ log2 2).
    const expected = 0.5 * Math.log2(4 / 3) + 0.5 * (0.5 * Math.log2(2 / 3) + 0.5);
    expect(compareTokens(ids(1, 1), ids(1, 2)).divergence).toBeCloseTo(expected, 12);
  });

  it('is no more than chance for two parts of one source, and warned about for different ones', () => {
    const draw = (seed: number, offset: number) =>
      calibrationSetFromRandom(200, { samples: 20, length: 100, seed }).sequences.map((s) => s.map((id) => id + offset));
    const same = compareTokens(draw(1, 0), draw(2, 0));
    expect(Math.abs(same.divergence - same.expected)).toBeLessThan(0.01);
    expect(comparisonWarning(same)).toBeUndefined();
    const other = compareTokens(draw(1, 0), draw(2, 150));
    expect(comparisonWarning(other)).toMatch(/divergence of their tokens is 0\.7\d\d bits \(0\.0\d\d would be by chance\), and 7\d\.\d %/);
  });
});
