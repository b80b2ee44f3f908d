import { mkdtemp, open, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileSource, httpSource } from '@calibrant/checkpoint';
import { createReferenceBackend } from '@calibrant/core';
import { BLOCK_TYPES, layOut, openGgufCheckpoint, readGguf } from '@calibrant/gguf-format';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { memorySource } from './memory-files.js';
import { smallMetadata, smallModel } from './small-model.js';

const backend = createReferenceBackend();
const GIANT = 5 * 2 ** 30;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'calibrant-gguf-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a file of more than 4 GiB', () => {
  it('is read behind the first 4 GiB, in tensors larger than that and after them', async () => {
    const plan = [
      { name: 'token_embd.weight', shape: [GIANT / 4 / 64, 64], type: BLOCK_TYPES.F32 },
      { name: 'output_norm.weight', shape: [64], type: BLOCK_TYPES.F32 },
    ];
    const layout = layOut(smallMetadata, plan);
    const norm = layout.places.get('output_norm.weight')?.offset ?? 0;
    const file = path.join(folder, 'giant.gguf');
    // Only the pieces that are written take room on the disk.
    const handle = await open(file, 'w');
    await handle.truncate(layout.bytes);
    await handle.write(layout.header, 0, layout.header.length, 0);
    const values = Float32Array.from({ length: 64 }, (_, i) => i);
    await handle.write(new Uint8Array(values.buffer), 0, 256, norm);
    await handle.write(new Uint8Array(values.buffer), 0, 256, norm - 256);
    await handle.close();

    const source = await fileSource(file);
    const { tensors } = await readGguf(source);
    expect(tensors.get('token_embd.weight')?.bytes).toBe(GIANT);
    expect(tensors.get('output_norm.weight')?.offset).toBe(norm);
    expect(norm).toBeGreaterThan(2 ** 32);
    const checkpoint = await openGgufCheckpoint(source, { backend });
    expect((await checkpoint.read('model.norm.weight')).data).toEqual(values);
    const rows = GIANT / 256;
    expect((await checkpoint.read('model.embed_tokens.weight', { start: rows - 1, end: rows })).data).toEqual(values);
    await checkpoint.close();
  });

  it('is refused when it is cut off there', async () => {
    const layout = layOut(smallMetadata, [{ name: 'token_embd.weight', shape: [GIANT / 256, 64], type: BLOCK_TYPES.F32 }]);
    const cut = { ...memorySource(layout.header), size: layout.bytes - 1 };
    await expect(readGguf({ ...cut, read: async (offset, length) => layout.header.subarray(offset, offset + length) })).rejects.toThrow(
      new RegExp(`to ${layout.bytes}, but the file ends at ${layout.bytes - 1}`),
    );
  });
});

describe('a remote file', () => {
  it('is opened as a checkpoint by range requests, reading no more than the header and the rows that are asked for', async () => {
    const bytes = await smallModel();
    let sent = 0;
    const server = createServer((request, response) => {
      const [, start, end] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []).map(Number);
      const body = bytes.subarray(start, end + 1);
      sent += body.length;
      response.writeHead(206, { 'content-range': `bytes ${start}-${start + body.length - 1}/${bytes.length}` }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const source = await httpSource(`http://127.0.0.1:${(server.address() as AddressInfo).port}/model.gguf`);
      const remote = await openGgufCheckpoint(source, { backend });
      const local = await openGgufCheckpoint(memorySource(bytes), { backend });
      expect(remote.config).toEqual(local.config);
      const before = sent;
      const range = { start: 3, end: 5 };
      expect(await remote.read('model.embed_tokens.weight', range)).toEqual(await local.read('model.embed_tokens.weight', range));
      expect(sent - before).toBe(2 * 68);
      await remote.close();
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
