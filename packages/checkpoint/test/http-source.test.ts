import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { httpSource } from '@calibrant/checkpoint';
import { afterEach, describe, expect, it } from '@jest/globals';

const contents = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 251);
const quick = { retryDelay: 1 };
type Fault = (response: ServerResponse, start: number, end: number) => void;

let stop: (() => void) | undefined;
afterEach(() => stop?.());

/** Serves `contents` as /folder/a.gguf; each request takes the next fault, if there is one. */
async function serve(faults: (Fault | undefined)[] = []) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const [, start, end] = (/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []).map(Number);
    requests.push(`${request.url} ${start}-${end}`);
    const fault = faults.shift();
    if (fault) return fault(response, start, end);
    if (!request.url?.startsWith('/folder/a')) return response.writeHead(404).end();
    const last = Math.min(end, contents.length - 1);
    response.writeHead(206, { 'content-range': `bytes ${start}-${last}/${contents.length}`, etag: '"1"' });
    return response.end(contents.subarray(start, last + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/folder/a.gguf?download=true`, requests, faults };
}

const status =
  (code: number, headers: Record<string, string> = {}): Fault =>
  (response) =>
    void response.writeHead(code, headers).end('text');

describe('a remote file', () => {
  it('is read in exactly the ranges that are asked for', async () => {
    const { url, requests } = await serve();
    const source = await httpSource(url);
    expect([source.size, source.name]).toEqual([1000, url]);
    expect(await source.read(990, 10)).toEqual(contents.slice(990));
    expect(await source.read(5, 0)).toEqual(new Uint8Array(0));
    expect(requests.map((request) => request.split(' ')[1])).toEqual(['0-0', '990-999']);
    await source.close();
  });

  it('opens others beside it, with the same query', async () => {
    const { url, requests } = await serve();
    const other = await (await httpSource(url)).sibling?.('a-00002-of-00002.gguf');
    expect(other?.size).toBe(1000);
    expect(requests[1]).toBe('/folder/a-00002-of-00002.gguf?download=true 0-0');
  });

  it('goes on where a connection was lost, and after temporary refusals', async () => {
    const half: Fault = (response, start, end) => {
      response.writeHead(206, { 'content-range': `bytes ${start}-${end}/1000`, etag: '"1"' });
      response.write(contents.subarray(start, start + 50), () => response.destroy());
    };
    const { url, requests } = await serve([status(503), undefined, half, status(429, { 'retry-after': '0' })]);
    const source = await httpSource(url, quick);
    expect(await source.read(100, 200)).toEqual(contents.slice(100, 300));
    expect(requests.map((request) => request.split(' ')[1])).toEqual(['0-0', '0-0', '100-299', '150-299', '150-299']);
  });

  it('is given up when connections end after a few bytes every time', async () => {
    const few: Fault = (response, start, end) => {
      response.writeHead(206, { 'content-range': `bytes ${start}-${end}/1000`, etag: '"1"' });
      response.write(contents.subarray(start, start + 5), () => response.destroy());
    };
    const { url, requests } = await serve([undefined, ...Array.from({ length: 100 }, () => few)]);
    const source = await httpSource(url, { ...quick, retries: 3 });
    await expect(source.read(0, 1000)).rejects.toMatchObject({ code: 'NETWORK' });
    expect(requests.length).toBe(1 + 1 + 3);
  });

  it('is given up when the server stays silent or gone', async () => {
    const { url } = await serve([() => {}, () => {}]);
    await expect(httpSource(url, { ...quick, retries: 1, stallTimeout: 50 })).rejects.toMatchObject({
      code: 'NETWORK',
      message: expect.stringMatching(/cannot be reached \(no answer in time\)/),
    });
    stop?.();
    await expect(httpSource(url, { ...quick, retries: 1 })).rejects.toThrow(/cannot be reached \(.*ECONNREFUSED/);
  });

  const refusals: [string, Fault, string, RegExp][] = [
    ['a server without ranges', status(200), 'UNSUPPORTED', /does not answer range requests.*Download it/],
    ['a missing file', status(404), 'NOT_FOUND', /no file at .*404/],
    ['a closed file', status(403), 'NETWORK', /refused \(403\)/],
    ['an empty file', status(416, { 'content-range': 'bytes */0' }), 'CORRUPT_FILE', /is empty/],
    ['another range', status(206, { 'content-range': 'bytes 5-5/1000' }), 'NETWORK', /which does not fit/],
    ['a range without its place', status(206), 'NETWORK', /no content-range/],
  ];
  it.each(refusals)('is refused: %s', async (_what, fault, code, message) => {
    const { url } = await serve([fault]);
    await expect(httpSource(url, quick)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('that changes while it is read, or answers with more than was asked for, is refused', async () => {
    const answer =
      (etag: string, more: number): Fault =>
      (response, start, end) => {
        response.writeHead(206, { 'content-range': `bytes ${start}-${end}/1000`, etag });
        response.end(contents.subarray(start, end + 1 + more));
      };
    const { url } = await serve([undefined, answer('"2"', 0), answer('"1"', 9)]);
    const source = await httpSource(url, quick);
    await expect(source.read(0, 8)).rejects.toThrow(/changed while it was read/);
    await expect(source.read(0, 8)).rejects.toThrow(/sent more than the bytes that were asked for/);
    await expect(source.read(999, 2)).rejects.toThrow(/has 1000 bytes; bytes 999 to 1001/);
  });

  it('stops when it is cancelled', async () => {
    const { url } = await serve();
    const abort = new AbortController();
    const source = await httpSource(url, { ...quick, signal: abort.signal });
    abort.abort();
    await expect(source.read(0, 8)).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
