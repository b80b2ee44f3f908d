import { lstat, mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type HubModelOptions, openHubModel } from '@calibrant/checkpoint';
import type { RunEvent } from '@calibrant/core';
import { scanCacheDir } from '@huggingface/hub';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { gitSha1, type MockHub, type MockRepo, mockHub, sha256 } from './mock-hub.js';
import { safetensorsBytes } from './safetensors-bytes.js';
import { temporaryFolder } from './temporary-folder.js';

const COMMIT = 'a'.repeat(40);
const OLDER = 'b'.repeat(40);
const text = (value: string) => new TextEncoder().encode(value);
const weights = safetensorsBytes(
  { w: { dtype: 'U8', shape: [300_000], data_offsets: [0, 300_000] } },
  Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 9)) & 255),
);
const config = text('{"model_type":"llama"}');
const single: MockRepo = {
  files: {
    'config.json': config,
    'tokenizer.json': text('{}'),
    LICENSE: text('free'),
    'empty.json': text(''),
    'model.safetensors': weights,
    'consolidated.safetensors': weights.slice(0, 100),
    'pytorch_model.bin': text('pickle'),
    'README.md': text('# model'),
  },
  refs: { main: COMMIT, 'refs/pr/1': OLDER },
  large: ['model.safetensors'],
};

// What the machine of the test has set must not matter.
const VARIABLES = [
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'HF_TOKEN_PATH',
  'HF_HOME',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'HF_ENDPOINT',
  'HF_HUB_OFFLINE',
];
let saved: Record<string, string | undefined>;
let cacheFolder: string;
let hub: MockHub;
beforeEach(async () => {
  saved = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
  for (const name of VARIABLES) delete process.env[name];
  process.env['HF_HOME'] = await temporaryFolder();
  cacheFolder = join(process.env['HF_HOME'], 'hub');
});
afterEach(() => {
  for (const name of VARIABLES) {
    if (saved[name] === undefined) delete process.env[name];
    else process.env[name] = saved[name];
  }
});

const open = (repo: string, options: HubModelOptions = {}) =>
  openHubModel(repo, { hubUrl: hub.url, retryDelay: 1, retries: 2, ...options });
const refusal = (repo: string, options: HubModelOptions = {}) =>
  open(repo, options).then(
    () => {
      throw new Error('expected a refusal');
    },
    (error) => error,
  );
const blob = (bytes: Uint8Array, large = true) => join(cacheFolder, 'models--org--model', 'blobs', large ? sha256(bytes) : gitSha1(bytes));

describe('openHubModel', () => {
  it('downloads what a model needs into the standard cache and opens it by its commit', async () => {
    hub = await mockHub({ 'org/model': single });
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
    hub = await mockHub({ 'org/model': single });
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
    hub = await mockHub({ 'org/model': { files, refs: { main: COMMIT } } });
    const model = await open('org/model');
    expect([...model.tensors.keys()]).toEqual(['a', 'b']);
    await model.close();
    expect(hub.downloads()).not.toContain('model.safetensors');
    const { 'model-00002-of-00002.safetensors': _, ...incomplete } = files;
    await hub.stop();
    hub = await mockHub({ 'org/other': { files: incomplete, refs: { main: COMMIT } } });
    expect(await refusal('org/other')).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/lacks model-00002/) });
  });

  it('goes on where the connection broke, by a Range request', async () => {
    hub = await mockHub({ 'org/model': single });
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
    hub = await mockHub({ 'org/model': single });
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
    hub = await mockHub({ 'org/model': single });
    hub.faults['model.safetensors'] = [{ dropAfter: 100_000 }, { shiftRange: 1 }, { ignoreRange: true }];
    await (await open('org/model')).close();
    expect(new Uint8Array(await readFile(blob(weights)))).toEqual(weights);
  });

  it('throws a damaged file away, fetches it once more, and then gives up with both hashes', async () => {
    hub = await mockHub({ 'org/model': single });
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
    hub = await mockHub({ 'org/model': single });
    await mkdir(join(cacheFolder, 'models--org--model', 'blobs'), { recursive: true });
    await writeFile(`${blob(weights)}.incomplete`, new Uint8Array(1000));
    await writeFile(`${blob(config, false)}.incomplete`, new Uint8Array(1000));
    await (await open('org/model')).close();
    expect(new Uint8Array(await readFile(blob(weights)))).toEqual(weights);
    expect(new Uint8Array(await readFile(blob(config, false)))).toEqual(config);
  });

  it('refuses a server that sends more than it listed', async () => {
    hub = await mockHub({ 'org/model': single });
    hub.faults['config.json'] = [{ extraBytes: 10 }];
    expect(await refusal('org/model')).toMatchObject({ code: 'CORRUPT_FILE', message: expect.stringMatching(/more than the 22 bytes/) });
  });

  it('repeats temporary failures, and waits as long as the server asks', async () => {
    hub = await mockHub({ 'org/model': single });
    hub.apiFaults = [{ status: 503 }, { status: 429, headers: { 'retry-after': '0.05' } }];
    hub.faults['config.json'] = [{ status: 500 }];
    await (await open('org/model')).close();
    hub.apiFaults = Array.from({ length: 3 }, () => ({ status: 502 }));
    await rm(cacheFolder, { recursive: true });
    expect(await refusal('org/model')).toMatchObject({ code: 'NETWORK', details: { status: 502 } });
  });

  it('stops when it is cancelled, and keeps what has arrived', async () => {
    hub = await mockHub({ 'org/model': single });
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

describe('access to Hub models', () => {
  it('sends the token to the Hub: from the option, the environment, or the login file', async () => {
    hub = await mockHub({ 'org/model': { ...single, locked: 'private', token: 'hf_secret' } });
    await (await open('org/model', { token: 'hf_secret' })).close();
    process.env['HF_TOKEN'] = ' hf_secret\n';
    await (await open('org/model')).close();
    delete process.env['HF_TOKEN'];
    await writeFile(join(process.env['HF_HOME'] as string, 'token'), 'hf_secret\n');
    await (await open('org/model')).close();
    expect(hub.requests.every(({ authorization }) => authorization === 'Bearer hf_secret')).toBe(true);
  });

  it('follows the Hub to its storage without giving it the token', async () => {
    const storage = await mockHub({ 'org/model': single });
    hub = await mockHub({ 'org/model': { ...single, locked: 'private', token: 'hf_secret' } });
    const elsewhere = { status: 302, headers: { location: `${storage.url}/org/model/resolve/${COMMIT}/model.safetensors` } };
    hub.faults['model.safetensors'] = [elsewhere, elsewhere];
    storage.faults['model.safetensors'] = [{ dropAfter: 1000 }];
    await (await open('org/model', { token: 'hf_secret' })).close();
    expect(storage.requests.map(({ range, authorization }) => [range, authorization])).toEqual([
      [undefined, undefined],
      ['bytes=1000-', undefined],
    ]);
  });

  it('says what to do about a private, a gated and an absent model, without showing the token', async () => {
    hub = await mockHub({
      'org/model': { ...single, locked: 'private', token: 'hf_secret' },
      'org/gated': { ...single, locked: 'gated', token: 'hf_secret' },
    });
    expect((await refusal('org/model')).message).toMatch(/does not exist, or is private.*HF_TOKEN/);
    expect((await refusal('org/model', { token: 'hf_wrong' })).message).toMatch(/did not accept the token for org\/model/);
    const gated = await refusal('org/gated');
    expect(gated.message).toContain(`Accept its conditions at ${hub.url}/org/gated`);
    expect(gated).toMatchObject({ code: 'NETWORK', details: { status: 401 } });
    expect(await refusal('org/absent')).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/no model org\/absent/) });
    expect(await refusal('org/absent', { revision: 'v9', token: 'hf_secret' })).toMatchObject({ code: 'NOT_FOUND' });
    expect((await refusal('org/model', { token: 'hf_secret', revision: 'v9' })).message).toMatch(/no revision "v9"/);
    const malformed = await refusal('org/model', { token: 'hf_se cret' });
    expect(malformed.code).toBe('INVALID_ARGUMENT');
    expect(malformed.message).not.toContain('cret"');
    expect(JSON.stringify(malformed)).not.toContain('hf_se');
  });

  it('refuses names and revisions that would lead out of the cache', async () => {
    hub = await mockHub({ 'org/model': single });
    for (const repo of ['../model', 'org/..', 'a/b/c', '', '/etc/passwd', 'org/a--b'])
      expect((await refusal(repo)).code).toBe('INVALID_ARGUMENT');
    for (const revision of ['../x', '/x', 'a/../b', '', 'a b', 'a?b'])
      expect((await refusal('org/model', { revision })).code).toBe('INVALID_ARGUMENT');
    expect(hub.requests).toEqual([]);
  });

  it('says when a repository has no safetensors', async () => {
    const { 'config.json': c, 'pytorch_model.bin': b } = single.files;
    hub = await mockHub({ 'org/model': { files: { 'config.json': c, 'pytorch_model.bin': b }, refs: { main: COMMIT } } });
    expect(await refusal('org/model')).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringMatching(/pickle/) });
  });
});

describe('openHubModel offline', () => {
  it('opens the cache without a request, and says what to do when the model is not there', async () => {
    hub = await mockHub({ 'org/model': single });
    await (await open('org/model')).close();
    hub.requests.length = 0;
    process.env['HF_HUB_OFFLINE'] = '1';
    for (const revision of ['main', COMMIT]) {
      const model = await open('org/model', { revision });
      expect(model.commit).toBe(COMMIT);
      await model.close();
    }
    const error = await refusal('org/other');
    expect(error.code).toBe('NOT_FOUND');
    expect(error.message).toMatch(/org\/other .* not in the cache .*offline mode is on \(HF_HUB_OFFLINE\)/);
    await rm(join(cacheFolder, 'models--org--model', 'snapshots', COMMIT, 'model.safetensors'));
    expect((await refusal('org/model')).message).toMatch(/not complete in the cache/);
    expect(hub.requests).toEqual([]);
  });

  it('falls back to the cache with a warning when the Hub cannot be reached', async () => {
    hub = await mockHub({ 'org/model': single });
    await (await open('org/model')).close();
    await hub.stop();
    const events: RunEvent[] = [];
    const model = await open('org/model', { onEvent: (event) => events.push(event) });
    expect(model.commit).toBe(COMMIT);
    await model.close();
    expect(events).toEqual([{ warning: expect.stringMatching(/cannot be reached .*Using the copy in the cache/), item: 'org/model' }]);
    expect(await refusal('org/other')).toMatchObject({ code: 'NETWORK', message: expect.stringMatching(/cannot be reached/) });
  });
});
