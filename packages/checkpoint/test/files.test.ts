import { access, constants, mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createAtomicFolder, createSafetensorsWriter, fileSink, fileSource, freeBytes, outputFolder } from '@calibrant/checkpoint';
import { describe, expect, it } from '@jest/globals';
import { temporaryFolder } from './temporary-folder.js';

const bytes = (...values: number[]) => Uint8Array.from(values);

describe('fileSource', () => {
  it('reads at any position and refuses what is not there', async () => {
    const file = join(await temporaryFolder(), 'data');
    await writeFile(file, bytes(0, 1, 2, 3, 4, 5));
    const source = await fileSource(file);
    expect(source.size).toBe(6);
    expect(await source.read(2, 3)).toEqual(bytes(2, 3, 4));
    expect(await source.read(6, 0)).toEqual(bytes());
    await expect(source.read(4, 3)).rejects.toMatchObject({ code: 'CORRUPT_FILE', details: { file, offset: 4 } });
    await truncate(file, 3);
    await expect(source.read(2, 3)).rejects.toMatchObject({ code: 'CORRUPT_FILE', details: { offset: 3 } });
    await source.close();
  });

  it('says what cannot be opened', async () => {
    const folder = await temporaryFolder();
    await expect(fileSource(join(folder, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(fileSource(folder)).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/not a file/) });
    await writeFile(join(folder, 'file'), '');
    await expect(fileSource(join(folder, 'file', 'below'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('fileSink', () => {
  it('writes at any position', async () => {
    const file = join(await temporaryFolder(), 'data');
    const sink = await fileSink(file, { bytes: 6 });
    await sink.write(4, bytes(4, 5));
    await sink.write(0, bytes(0, 1, 2, 3));
    await sink.close();
    await sink.close();
    expect(new Uint8Array(await readFile(file))).toEqual(bytes(0, 1, 2, 3, 4, 5));
  });

  it('refuses a size that the disk cannot hold before it creates the file', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'huge');
    const error = await fileSink(file, { bytes: 2 ** 52 }).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'DISK_FULL', details: { neededBytes: 2 ** 52 } });
    expect(error.message).toContain(String(2 ** 52));
    expect(await readdir(folder)).toEqual([]);
    expect(await freeBytes(folder)).toBeGreaterThan(0);
  });

  // Only Linux has /dev/full; elsewhere the same tests must fail, so that they are not forgotten.
  const full = process.platform === 'linux' ? it : it.failing;
  full('reports a disk that fills up while writing, with how much was needed', async () => {
    const sink = await fileSink('/dev/full');
    const error = await sink.write(0, new Uint8Array(70_000)).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'DISK_FULL', details: { file: '/dev/full', neededBytes: 70_000 } });
    expect(error.message).toMatch(/disk is full: \/dev\/full needs at least 70000 bytes/);
    await sink.close();
  });

  full('passes a full disk on from the safetensors writer', async () => {
    const sink = await fileSink('/dev/full');
    await expect(createSafetensorsWriter(sink, [{ name: 'w', dtype: 'f32', shape: [1] }])).rejects.toMatchObject({ code: 'DISK_FULL' });
  });

  it('reports a place that cannot be written as IO', async () => {
    const folder = await temporaryFolder();
    await expect(fileSink(folder)).rejects.toMatchObject({ code: 'IO' });
    await expect(fileSink(join(folder, 'none', 'file'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('outputFolder', () => {
  it('makes folders as needed, and none outside', async () => {
    const path = join(await temporaryFolder(), 'out');
    const folder = outputFolder(path);
    await folder.writeText('config.json', 'ü');
    await folder.writeText('onnx/model.json', '{}');
    expect(await readFile(join(path, 'config.json'), 'utf8')).toBe('ü');
    expect(await readFile(join(path, 'onnx', 'model.json'), 'utf8')).toBe('{}');
    for (const name of ['../x', '/etc/x', 'a/../../x', '', '.', 'a//b', 'C:x', 'a\\b', 'a\0b'])
      await expect(folder.create(name)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('createAtomicFolder', () => {
  it('shows nothing under the final name before commit, and everything after', async () => {
    const parent = await temporaryFolder();
    const path = join(parent, 'model');
    const folder = await createAtomicFolder(path);
    await folder.writeText('config.json', '{}');
    expect(dirname(folder.stagingPath)).toBe(parent);
    expect(basename(folder.stagingPath)).toMatch(/^\.model\.partial-[0-9a-f]+$/);
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    await folder.commit();
    await folder.abort();
    expect(await readdir(parent)).toEqual(['model']);
    expect(await readdir(path)).toEqual(['config.json']);
    await expect(folder.commit()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('leaves nothing behind after abort', async () => {
    const parent = await temporaryFolder();
    const folder = await createAtomicFolder(join(parent, 'model'));
    await folder.writeText('config.json', '{}');
    await folder.abort();
    expect(await readdir(parent)).toEqual([]);
    const deep = await createAtomicFolder(join(parent, 'a', 'b', 'model'));
    await deep.writeText('config.json', '{}');
    await deep.abort();
    expect(await readdir(parent)).toEqual([]);
  });

  it('says why it cannot start', async () => {
    const parent = await temporaryFolder();
    await writeFile(join(parent, 'file'), '');
    await expect(createAtomicFolder(join(parent, 'file', 'model'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(createAtomicFolder('/proc/calibrant/model')).rejects.toMatchObject({ code: expect.stringMatching(/NOT_FOUND|IO/) });
  });

  it('takes an empty folder, and refuses one with contents unless forced', async () => {
    const parent = await temporaryFolder();
    const path = join(parent, 'model');
    await mkdir(path);
    const first = await createAtomicFolder(path);
    await first.writeText('old', '');
    await first.commit();
    const error = await createAtomicFolder(path).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'OUTPUT_EXISTS', details: { file: path } });
    expect(error.message).toContain('--force');

    const forced = await createAtomicFolder(path, { force: true });
    await forced.writeText('new', '');
    expect(await readdir(path)).toEqual(['old']);
    await forced.commit();
    expect(await readdir(path)).toEqual(['new']);
    expect(await readdir(parent)).toEqual(['model']);
  });

  it('does not overwrite what appeared while it was working', async () => {
    const parent = await temporaryFolder();
    const path = join(parent, 'model');
    const folder = await createAtomicFolder(path);
    await mkdir(path);
    await writeFile(join(path, 'other'), 'x');
    await expect(folder.commit()).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    await folder.abort();
    expect(await readdir(parent)).toEqual(['model']);
    expect(await readFile(join(path, 'other'), 'utf8')).toBe('x');
  });

  it('never replaces a file, or a folder that holds the working folder', async () => {
    const parent = await temporaryFolder();
    await writeFile(join(parent, 'file'), '');
    await expect(createAtomicFolder(join(parent, 'file'), { force: true })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    await expect(createAtomicFolder(process.cwd(), { force: true })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    await expect(createAtomicFolder(dirname(process.cwd()), { force: true })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    await access(process.cwd(), constants.R_OK);
  });
});
