import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createAtomicFiles, openSource } from '@calibrant/checkpoint';
import { describe, expect, it } from '@jest/globals';
import { temporaryFolder } from './temporary-folder.js';

describe('files that appear together', () => {
  it('have their names only after the commit, beside what was there', async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, 'old'), 'old');
    const files = await createAtomicFiles(folder);
    await files.writeText('a', 'A');
    const sink = await files.create('b');
    await sink.write(0, new Uint8Array([66]));
    await sink.close();
    expect((await readdir(folder)).filter((name) => !name.startsWith('.'))).toEqual(['old']);
    await files.commit();
    await files.abort();
    expect((await readdir(folder)).sort()).toEqual(['a', 'b', 'old']);
    expect(await readFile(path.join(folder, 'b'), 'utf8')).toBe('B');
  });

  it('leave nothing when they are given up', async () => {
    const folder = await temporaryFolder();
    const files = await createAtomicFiles(folder);
    await files.writeText('a', 'A');
    await files.abort();
    expect(await readdir(folder)).toEqual([]);
    await expect(files.commit()).rejects.toThrow(/already committed or aborted/);
  });

  it('replace others only with force', async () => {
    const folder = await temporaryFolder();
    await writeFile(path.join(folder, 'a'), 'old');
    const careful = await createAtomicFiles(folder);
    await expect(careful.create('a')).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    await careful.abort();
    const files = await createAtomicFiles(folder, { force: true });
    await files.writeText('a', 'new');
    await files.commit();
    expect(await readFile(path.join(folder, 'a'), 'utf8')).toBe('new');
  });
});

it('a file opens others of its folder', async () => {
  const folder = await temporaryFolder();
  await writeFile(path.join(folder, 'a'), 'A');
  await writeFile(path.join(folder, 'b'), 'BB');
  const source = await openSource(path.join(folder, 'a'));
  const other = await source.sibling?.('b');
  expect(other?.size).toBe(2);
  await expect(source.sibling?.('c')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await source.close();
  await other?.close();
});
