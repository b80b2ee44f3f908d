import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { openHubDataset, parseDatasetReference } from '@calibrant/checkpoint';
import type { RunEvent } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { COMMIT, hub, OLDER, startHub, text } from './hub-fixture.js';

const files = {
  'README.md': text('# data'),
  'raw/train-00000-of-00002.parquet': text('first'),
  'raw/train-00001-of-00002.parquet': text('second'),
  'raw/test-00000-of-00001.parquet': text('test'),
  'clean/train.jsonl': text('{"text":"clean"}'),
  'restrained.txt': text('no word "train"'),
};
const open = async (reference: string, options = {}) => {
  const parsed = parseDatasetReference(reference);
  if (!parsed) throw new Error(reference);
  const found = await openHubDataset(parsed, { hubUrl: hub.url, retryDelay: 1, retries: 1, ...options });
  const contents = await Promise.all(found.files.map((file) => readFile(file, 'utf8')));
  return { ...found, contents };
};

describe('parseDatasetReference', () => {
  it('reads revision and split, and tells names from paths', () => {
    expect(parseDatasetReference('org/name')).toEqual({ repo: 'org/name', revision: 'main' });
    expect(parseDatasetReference('hf:org/name@v1:raw/test')).toEqual({ repo: 'org/name', revision: 'v1', split: 'raw/test' });
    for (const no of ['name', './org/name', 'org/name/more', 'org/name@../up', 'org/na--me', ''])
      expect(parseDatasetReference(no)).toBeUndefined();
  });
});

describe('openHubDataset', () => {
  const start = () =>
    startHub({ 'datasets/org/name': { files, refs: { main: COMMIT, v1: OLDER }, large: ['raw/train-00000-of-00002.parquet'] } });

  it('brings the files of the split into the cache of Hugging Face’s tools, and does not fetch them again', async () => {
    await start();
    const events: RunEvent[] = [];
    const found = await open('org/name', { onEvent: (event: RunEvent) => events.push(event) });
    expect(found.name).toBe(`org/name@${COMMIT}`);
    expect(found.contents).toEqual(['{"text":"clean"}', 'first', 'second']);
    expect(found.filesOfSplit).toBe(3);
    expect(found.files[1]).toContain(path.join('datasets--org--name', 'snapshots', COMMIT, 'raw', 'train-00000-of-00002.parquet'));
    expect(events.length).toBeGreaterThan(0);
    const before = hub.downloads().length;
    expect(before).toBe(3);
    expect((await open('org/name:raw/train')).contents).toEqual(['first', 'second']);
    expect(hub.downloads().length).toBe(before);
  });

  it('takes a configuration, a split and a revision, and the cache alone without the Hub', async () => {
    await start();
    expect((await open('org/name@v1:test')).contents).toEqual(['test']);
    await hub.stop();
    expect((await open('org/name@v1:test', { offline: true })).contents).toEqual(['test']);
    await expect(open('org/name', { offline: true })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/offline mode is on/),
    });
  });

  it('names the files that there are when a split is not among them', async () => {
    await start();
    await expect(open('org/name:validation')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/no split "validation".*raw\/test-00000-of-00001\.parquet/),
    });
    await expect(open('org/other')).rejects.toMatchObject({ message: expect.stringMatching(/no data set org\/other/) });
  });

  it('refuses names of files that would leave the cache', async () => {
    await startHub({ 'datasets/org/name': { files: { 'a/../../train.txt': text('x') }, refs: { main: COMMIT } } });
    await expect(open('org/name')).rejects.toMatchObject({ message: expect.stringMatching(/lists a malformed file/) });
  });
});
