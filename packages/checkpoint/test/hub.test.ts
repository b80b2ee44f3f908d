import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunEvent } from '@calibrant/core';
import { scanCacheDir } from '@huggingface/hub';
import { describe, expect, it } from '@jest/globals';
import { blob, COMMIT, cacheFolder, config, hub, OLDER, open, refusal, single, startHub, text, weights } from './hub-fixture.js';
import { gitSha1, sha256 } from './mock-hub.js';
import { safetensorsBytes } from './safetensors-bytes.js';

describe('openHubModel', () => {
  it('downloads what a model needs into the standard cache and opens it by its commit', async () => {
    await startHub({ 'org/model': single });
    const events: RunEvent[] = [];
    const model = await open('org/model', { onEvent: (event) => events.push(event) });
    expect(model.name).toBe(`org/model@${COMMIT}`);
    expect(model.commit).toBe(COMMIT);
    expect(model.files).toEqual(['LICENSE', 'config.json', 'empty.json', 'tokenizer.json']);
    expect((await model.read('w', { start: 299_990, end: 300_000 })).data).toEqual(weights.slice(-10));
    await model.close();

    expect(hub.downloads().sort()).toEqual(['LICENSE', 'config.json', 'model.safetensors', 'tokenizer.json']);
    const root = join(cacheFolder, 'models--org--model');
    expect(await readFile(join(root, 'refs', 'main'), 'utf8')).toBe(COMMIT);
    expect(await readlink(join(root, 'snapshots', COMMIT, 'model.safetensors'))).toBe(join('..', '..', 'blobs', sha256(weights)));
    expect(await readlink(join(root, 'snapshots', COMMIT, 'config.json'))).toBe(join('..', '..', 'blobs', gitSha1(config)));
    expect((await readdir(join(root, 'blobs'))).length).toBe(5);
    // Hugging Face's own library sees the same model.
    const [cached] = (await scanCacheDir(cacheFolder)).repos;
    expect(cached).toMatchObject({ id: { name: 'org/model', type: 'model' }, filesCount: 5 });
    expect(cached.revisions[0]).toMatchObject({ commitOid: COMMIT, refs: ['main'] });
    const total = weights.length;
    expect(events.at(-1)).toEqual({ phase: 'Downloading', done: total, total, unit: 'bytes', item: 'model.safetensors' });
  });

  it('does not fetch again what the cache holds, also by a pinned commit or another branch', async () => {
    await startHub({ 'org/model': single });
    await (await open('org/model')).close();
    const first = hub.downloads().length;
    await (await open('org/model')).close();
    await (await open('org/model', { revision: COMMIT })).close();
    expect(hub.downloads().length).toBe(first);
    const other = await open('org/model', { revision: 'refs/pr/1' });
    expect(other.commit).toBe(OLDER);
    await other.close();
    expect(hub.downloads().length).toBe(first);
    expect(await readFile(join(cacheFolder, 'models--org--model', 'refs', 'refs', 'pr', '1'), 'utf8')).toBe(OLDER);
  });

  it('fetches the shards that the index names and no other weights', async () => {
    const shard = (name: string) => safetensorsBytes({ [name]: { dtype: 'U8', shape: [2], data_offsets: [0, 2] } }, 2);
    const files = {
      'config.json': config,
      'model.safetensors.index.json': text(
        '{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}',
      ),
      'model-00001-of-00002.safetensors': shard('a'),
      'model-00002-of-00002.safetensors': shard('b'),
      'model.safetensors': weights,
    };
    await startHub({ 'org/model': { files, refs: { main: COMMIT } } });
    const model = await open('org/model');
    expect([...model.tensors.keys()]).toEqual(['a', 'b']);
    await model.close();
    expect(hub.downloads()).not.toContain('model.safetensors');
    const { 'model-00002-of-00002.safetensors': _, ...incomplete } = files;
    await hub.stop();
    await startHub({ 'org/other': { files: incomplete, refs: { main: COMMIT } } });
    expect(await refusal('org/other')).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/lacks model-00002/) });
  });

  it('goes on where the connection broke, by a Range request', async () => {
    await startHub({ 'org/model': single });
    hub.faults['model.safetensors'] = [{ dropAfter: 100_000 }, { dropAfter: 50_000 }, { dropAfter: 70_000 }, { dropAfter: 10_000 }];
    const model = await open('org/model', { retries: 1 });
    expect((await model.read('w')).data).toEqual(weights.slice(-300_000));
    await model.close();
    expect(hub.downloads().filter((download) => download.startsWith('model.safetensors'))).toEqual([
      'model.safetensors',
      'model.safetensors bytes=100000-',
      'model.safetensors bytes=150000-',
      'model.safetensors bytes=220000-',
      'model.safetensors bytes=230000-',
    ]);
  });

  it('keeps what has arrived when it gives up, and goes on from there in the next run', async () => {
    await startHub({ 'org/model': single });
    hub.faults['model.safetensors'] = [{ dropAfter: 120_000 }, { dropAfter: 0 }, { dropAfter: 0 }, { dropAfter: 0 }];
    const error = await refusal('org/model');
    expect(error).toMatchObject({ code: 'NETWORK' });
    expect(error.message).toMatch(/broke after 120000.*run the same command again/);
    expect((await lstat(`${blob(weights)}.incomplete`)).size).toBe(120_000);
    hub.faults = {};
    hub.requests.length = 0;
    await (await open('org/model')).close();
    expect(hub.downloads()).toEqual(['model.safetensors bytes=120000-']);
    expect(new Uint8Array(await readFile(blob(weights)))).toEqual(weights);
    expect(await readdir(join(cacheFolder, 'models--org--model', 'blobs'))).not.toContain(`${sha256(weights)}.incomplete`);
  });

  it('starts over when the server does not do ranges, and repeats when the answer begins elsewhere', async () => {
    await startHub({ 'org/model': single });
    hub.faults['model.safetensors'] = [{ dropAfter: 100_000 }, { shiftRange: 1 }, { ignoreRange: true }];
    await (await open('org/model')).close();
    expect(new Uint8Array(await readFile(blob(weights)))).toEqual(weights);
  });

  it('throws a damaged file away, fetches it once more, and then gives up with both hashes', async () => {
    await startHub({ 'org/model': single });
    hub.faults['model.safetensors'] = [{ damage: true }];
    await (await open('org/model')).close();
    expect(new Uint8Array(await readFile(blob(weights)))).toEqual(weights);

    await rm(cacheFolder, { recursive: true });
    hub.faults['config.json'] = [{ damage: true }, { damage: true }];
    const error = await refusal('org/model');
    expect(error).toMatchObject({ code: 'CORRUPT_FILE', details: { expected: gitSha1(config) } });
    expect(error.message).toContain(error.details.found);
    const left = await readdir(join(cacheFolder, 'models--org--model', 'blobs'));
    expect(left).not.toContain(gitSha1(config));
    expect(left).not.toContain(`${gitSha1(config)}.incomplete`);
  });

  it('does not trust a partial file of an earlier run that is wrong or too long', async () => {
    await startHub({ 'org/model': single });
    await mkdir(join(cacheFolder, 'models--org--model', 'blobs'), { recursive: true });
    await writeFile(`${blob(weights)}.incomplete`, new Uint8Array(1000));
    await writeFile(`${blob(config, false)}.incomplete`, new Uint8Array(1000));
    await (await open('org/model')).close();
    expect(new Uint8Array(await readFile(blob(weights)))).toEqual(weights);
    expect(new Uint8Array(await readFile(blob(config, false)))).toEqual(config);
  });

  it('refuses a server that sends more than it listed', async () => {
    await startHub({ 'org/model': single });
    hub.faults['config.json'] = [{ extraBytes: 10 }];
    expect(await refusal('org/model')).toMatchObject({ code: 'CORRUPT_FILE', message: expect.stringMatching(/more than the 22 bytes/) });
  });

  it('repeats temporary failures, and waits as long as the server asks', async () => {
    await startHub({ 'org/model': single });
    hub.apiFaults = [{ status: 503 }, { status: 429, headers: { 'retry-after': '0.05' } }];
    hub.faults['config.json'] = [{ status: 500 }];
    await (await open('org/model')).close();
    hub.apiFaults = Array.from({ length: 3 }, () => ({ status: 502 }));
    await rm(cacheFolder, { recursive: true });
    expect(await refusal('org/model')).toMatchObject({ code: 'NETWORK', details: { status: 502 } });
  });

  it('stops when it is cancelled, and keeps what has arrived', async () => {
    await startHub({ 'org/model': single });
    hub.faults['model.safetensors'] = [{ dropAfter: 90_000 }];
    const controller = new AbortController();
    const error = await refusal('org/model', {
      retryDelay: 10_000,
      signal: controller.signal,
      onEvent: (event) => 'done' in event && event.item === 'model.safetensors' && setTimeout(() => controller.abort(), 100),
    });
    expect(error.code).toBe('ABORTED');
    expect((await lstat(`${blob(weights)}.incomplete`)).size).toBe(90_000);
  });
});
