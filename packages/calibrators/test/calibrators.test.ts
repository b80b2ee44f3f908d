import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type CalibrationTokenizer, calibrationSet, calibrationSetFromText, cutWindows, type TextGenerator } from '@calibrant/calibrators';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

/** One token per character. */
const tokenizer: CalibrationTokenizer = { encode: (text) => Int32Array.from(text, (character) => character.codePointAt(0)!) };
const text = (set: { sequences: readonly Int32Array[] }) => set.sequences.map((ids) => String.fromCodePoint(...ids));
const size = { samples: 2, length: 4, seed: 0 };

describe('cutWindows', () => {
  it('covers every token but a single last one when it does not have to choose', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), fc.integer({ min: 1, max: 100 }), (length, count) => {
        fc.pre(count >= length);
        const tokens = Int32Array.from({ length: count }, (_, i) => i);
        const windows = cutWindows(tokens, { samples: 1000, length, seed: 1 }, 'text').sort((a, b) => a[0] - b[0]);
        expect(windows.flatMap((ids) => [...ids])).toEqual([...tokens].slice(0, count % length === 1 ? count - 1 : count));
      }),
    );
  });

  it('chooses different whole windows by seed, each once, when there are more than asked for', () => {
    const tokens = Int32Array.from({ length: 1000 }, (_, i) => i);
    const chosen = (seed: number) => cutWindows(tokens, { samples: 20, length: 10, seed }, 'text');
    const starts = chosen(3).map((ids) => ids[0]);
    expect(new Set(starts).size).toBe(20);
    for (const ids of chosen(3)) expect([...ids]).toEqual(Array.from({ length: 10 }, (_, i) => ids[0] + i));
    expect(starts.every((start) => start % 10 === 0)).toBe(true);
    expect(chosen(3)).toEqual(chosen(3));
    expect(chosen(4)).not.toEqual(chosen(3));
    // A choice over the whole text, not its beginning.
    expect(Math.max(...starts)).toBeGreaterThan(500);
  });

  it('makes a set of fewer samples the beginning of one of more, so that studies over their number are paired', () => {
    const tokens = Int32Array.from({ length: 105 }, (_, i) => i);
    const of = (samples: number) => cutWindows(tokens, { samples, length: 10, seed: 7 }, 'text');
    for (const samples of [1, 3, 10, 11]) expect(of(50).slice(0, samples)).toEqual(of(samples));
  });

  it('says how many tokens there are and how many are needed', () => {
    expect(() => cutWindows(new Int32Array(3), size, 'notes.txt')).toThrow(/notes\.txt has 3 tokens.*one sequence of 4, and 8 for 2/);
  });
});

describe('calibrationSetFromText', () => {
  it('joins documents by the end-of-text token and leaves empty ones out', () => {
    const documents = ['ab', ' \n', 'cde'].map((value) => ({ name: 'x', text: value }));
    const set = calibrationSetFromText(documents, { ...tokenizer, eosTokenId: 33 }, { samples: 3, length: 4, seed: 0 });
    expect(text(set)).toEqual(['ab!c', 'de']);
    expect([set.tokens, set.available]).toEqual([6, 6]);
    expect(text(calibrationSetFromText(documents, tokenizer, { samples: 3, length: 4, seed: 0 }))).toEqual(['abcd']);
  });

  it('warns with numbers when there are fewer sequences than asked for, or than is usual, and not else', () => {
    const set = calibrationSetFromText([{ name: 'x', text: 'abcdefghij' }], tokenizer, { samples: 5, length: 4, seed: 0 });
    expect(set.warnings).toEqual([
      expect.stringMatching(/gives 3 calibration sequences \(10 tokens\) of the 5 × 4 asked for/),
      expect.stringMatching(/on 3 sequences \(10 tokens\); 128 or more/),
    ]);
    const large = calibrationSetFromText([{ name: 'x', text: 'a'.repeat(1000) }], tokenizer, { samples: 130, length: 4, seed: 0 });
    expect(large.warnings).toEqual([]);
    expect(large.sequences.length).toBe(130);
    expect(large.available).toBe(1000);
  });

  it('refuses empty text', () => {
    expect(() => calibrationSetFromText([{ name: 'empty.txt', text: ' \n' }], tokenizer, size)).toThrow(/empty\.txt holds no text/);
  });
});

describe('calibrationSet', () => {
  let folder: string;
  const write = (name: string, content: string | Uint8Array) => writeFile(path.join(folder, name), content);
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'calibrant-calibrators-'));
    await mkdir(path.join(folder, 'all/deep'), { recursive: true });
    await write('all/b.txt', 'bbbb');
    await write('all/a.md', 'aaaa');
    await write('all/ignored.bin', 'zzzz');
    await write('all/deep/lines.jsonl', '{"text":"cc"}\n\n{"text":"dd"}\n');
    await write('bad.txt', Uint8Array.of(0x61, 0xc3, 0xa9, 0xff, 0x62));
    await write('cut.txt', Uint8Array.of(0x61, 0x62, 0xe2, 0x82));
    await write('bom.txt', Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0x62, 0x63, 0x64));
    await write('bad.jsonl', '{"text":"cc"}\n{"txt":"dd"}\n');
    await mkdir(path.join(folder, 'none'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const read = (source: 'file' | 'folder', name: string) =>
    calibrationSet({ ...size, samples: 9, source, path: path.join(folder, name) }, { tokenizer });

  it('reads all text files of a folder, joined in the order of their paths', async () => {
    const set = await read('folder', 'all');
    expect(text(set)).toEqual(['aaaa', 'ccdd', 'bbbb']);
    expect(set.textSha256).toBe(createHash('sha256').update('aaaabbbbccdd').digest('hex'));
    expect(set.source).toBe('folder');
  });

  it('reads a file without its byte order mark', async () => {
    expect(text(await read('file', 'bom.txt'))).toEqual(['abcd']);
  });

  it('refuses text that is not UTF-8, with the offset of the bad byte', async () => {
    await expect(read('file', 'bad.txt')).rejects.toMatchObject({
      code: 'CORRUPT_FILE',
      details: { offset: 3 },
      message: expect.stringMatching(/byte 3 \(0xff\)/),
    });
    await expect(read('file', 'cut.txt')).rejects.toMatchObject({
      code: 'CORRUPT_FILE',
      message: expect.stringMatching(/cut\.txt is not UTF-8 text: byte 2 \(0xe2\)/),
    });
  });

  it('says what is wrong with a path, a line or the options', async () => {
    await expect(read('file', 'missing.txt')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/missing\.txt does not exist/),
    });
    await expect(read('folder', 'none')).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/holds no \.txt, \.md, \.jsonl, \.parquet file/),
    });
    await expect(read('file', 'none')).rejects.toMatchObject({ code: 'IO' });
    await expect(read('file', 'bad.jsonl')).rejects.toMatchObject({ code: 'CORRUPT_FILE', message: expect.stringMatching(/line 2/) });
    await expect(calibrationSet({ ...size, source: 'file' }, { tokenizer })).rejects.toThrow(/needs calibration\.path/);
    await expect(calibrationSet({ ...size, source: 'self', path: 'x' }, {})).rejects.toThrow(/no use with the source "self"/);
    await expect(calibrationSet({ ...size, samples: 0, source: 'self' }, {})).rejects.toThrow(/samples/);
    await expect(calibrationSet({ ...size, length: 1, source: 'self' }, {})).rejects.toThrow(/length/);
  });

  it('lets the model write at temperature 1, from its begin-of-text token or from random tokens', async () => {
    const asked: Parameters<TextGenerator['generate']>[0][] = [];
    const generator: TextGenerator = {
      vocabSize: 50,
      async generate(options) {
        asked.push(options);
        return options.prompts.map((prompt) => Int32Array.of(...prompt, ...new Int32Array(options.length - prompt.length)));
      },
    };
    const options = { source: 'self' as const, samples: 30, length: 4, seed: 5 };
    const set = await calibrationSet(options, { generator: { ...generator, bosTokenId: 7 } });
    expect(asked[0]).toMatchObject({ length: 4, temperature: 1, seed: 5 });
    expect(set).toMatchObject({ source: 'self', seed: 5, tokens: 120 });
    expect(set.sequences.every((ids) => ids.length === 4 && ids[0] === 7)).toBe(true);

    const first = (await calibrationSet(options, { generator })).sequences.map((ids) => ids[0]);
    expect(new Set(first).size).toBeGreaterThan(10);
    expect(first.every((id) => id >= 0 && id < 50)).toBe(true);
    expect((await calibrationSet(options, { generator })).sequences.map((ids) => ids[0])).toEqual(first);
  });
});
