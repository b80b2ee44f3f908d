import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunEvent } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { COMMIT, cacheFolder, hub, open, refusal, single, startHub } from './hub-fixture.js';
import { mockHub } from './mock-hub.js';

describe('access to Hub models', () => {
  it('sends the token to the Hub: from the option, the environment, or the login file', async () => {
    await startHub({ 'org/model': { ...single, locked: 'private', token: 'hf_secret' } });
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
    await startHub({ 'org/model': { ...single, locked: 'private', token: 'hf_secret' } });
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
    await startHub({
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
    await startHub({ 'org/model': single });
    for (const repo of ['../model', 'org/..', 'a/b/c', '', '/etc/passwd', 'org/a--b'])
      expect((await refusal(repo)).code).toBe('INVALID_ARGUMENT');
    for (const revision of ['../x', '/x', 'a/../b', '', 'a b', 'a?b'])
      expect((await refusal('org/model', { revision })).code).toBe('INVALID_ARGUMENT');
    expect(hub.requests).toEqual([]);
  });

  it('says when a repository has no safetensors', async () => {
    const { 'config.json': c, 'pytorch_model.bin': b } = single.files;
    await startHub({ 'org/model': { files: { 'config.json': c, 'pytorch_model.bin': b }, refs: { main: COMMIT } } });
    expect(await refusal('org/model')).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringMatching(/pickle/) });
  });
});

describe('openHubModel offline', () => {
  it('opens the cache without a request, and says what to do when the model is not there', async () => {
    await startHub({ 'org/model': single });
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
    await startHub({ 'org/model': single });
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
