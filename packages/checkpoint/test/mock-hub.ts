import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from '@jest/globals';

/** What goes wrong with one request for a file; requests beyond the list are answered properly. */
export type Fault =
  | { readonly dropAfter: number }
  | { readonly status: number; readonly headers?: Record<string, string> }
  | { readonly damage: true }
  | { readonly ignoreRange: true }
  | { readonly shiftRange: number }
  | { readonly extraBytes: number };

export interface MockRepo {
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** revision → commit */
  readonly refs: Readonly<Record<string, string>>;
  /** Files in large file storage: addressed by SHA-256. Others by git's SHA-1. */
  readonly large?: readonly string[];
  /** Answer without this token (`gated` or `private`). */
  readonly locked?: 'gated' | 'private';
  readonly token?: string;
}

export interface MockHub {
  readonly url: string;
  readonly requests: { method: string; path: string; range: string | undefined; authorization: string | undefined }[];
  /** The requests for file contents: `model.safetensors bytes=10-`. */
  downloads(): string[];
  faults: Record<string, Fault[]>;
  /** Faults of the API itself. */
  apiFaults: { status: number; headers?: Record<string, string> }[];
  stop(): Promise<void>;
}

const running: MockHub[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((hub) => hub.stop()));
});

export const gitSha1 = (bytes: Uint8Array) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Plays the parts of the Hub's API that a model download needs, on 127.0.0.1, until the end of the test. */
export async function mockHub(repos: Readonly<Record<string, MockRepo>>): Promise<MockHub> {
  const server = createServer((request, response) => answer(hub, repos, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const hub: MockHub = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    downloads: () =>
      hub.requests
        .filter(({ path }) => path.includes('/resolve/'))
        .map(({ path, range }) => [path.split('/').at(-1), range].filter(Boolean).join(' ')),
    faults: {},
    apiFaults: [],
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  running.push(hub);
  return hub;
}

function answer(hub: MockHub, repos: Readonly<Record<string, MockRepo>>, request: IncomingMessage, response: ServerResponse): unknown {
  const path = decodeURIComponent((request.url ?? '').split('?')[0]);
  const { range, authorization } = request.headers;
  hub.requests.push({ method: request.method ?? '', path, range, authorization });
  const refuse = (status: number, code?: string, headers: Record<string, string> = {}) =>
    response.writeHead(status, { ...(code ? { 'x-error-code': code } : {}), ...headers }).end(JSON.stringify({ error: 'refused' }));
  const match = /^\/(?:api\/models\/)?((?:api\/)?(?:datasets\/)?[^/]+\/[^/]+)\/(revision|tree|resolve)\/(.+)$/.exec(path);
  const repo = match && repos[match[1].replace(/^api\//, '')];
  if (!match || !repo) return refuse(404, 'RepoNotFound');
  if (repo.locked && authorization !== `Bearer ${repo.token}`) return refuse(401, repo.locked === 'gated' ? 'GatedRepo' : 'RepoNotFound');
  const fault = match[2] !== 'resolve' && hub.apiFaults.shift();
  if (fault) return refuse(fault.status, undefined, fault.headers);
  const commits = Object.values(repo.refs);
  if (match[2] === 'resolve') {
    const [commit, file] = [match[3].slice(0, 40), match[3].slice(41)];
    const bytes = repo.files[file];
    return commits.includes(commit) && bytes ? sendFile(response, bytes, range, hub.faults[file]?.shift()) : refuse(404, 'EntryNotFound');
  }
  const commit = repo.refs[match[3]] ?? commits.find((known) => known === match[3]);
  if (!commit) return refuse(404, 'RevisionNotFound');
  const json = (value: unknown) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (match[2] === 'revision') return json({ _id: '1', id: match[1], sha: commit, lastModified: '2026-01-01T00:00:00.000Z' });
  return json([
    { type: 'directory', oid: commit, size: 0, path: 'onnx' },
    ...Object.entries(repo.files).map(([name, bytes]) => ({
      type: 'file',
      path: name,
      size: bytes.length,
      oid: gitSha1(bytes),
      ...(repo.large?.includes(name) ? { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } } : {}),
    })),
  ]);
}

function sendFile(response: ServerResponse, bytes: Uint8Array, range: string | undefined, fault: Fault | undefined): unknown {
  if (fault && 'status' in fault) return response.writeHead(fault.status, fault.headers).end('no');
  const asked = fault && 'ignoreRange' in fault ? undefined : /^bytes=(\d+)-$/.exec(range ?? '');
  const start = Number(asked?.[1] ?? 0);
  let body = bytes.slice(start);
  if (fault && 'damage' in fault && body.length > 0) body[body.length - 1] ^= 1;
  if (fault && 'extraBytes' in fault) body = Uint8Array.from([...body, ...new Uint8Array(fault.extraBytes)]);
  const claimed = start + (fault && 'shiftRange' in fault ? fault.shiftRange : 0);
  const headers = {
    'content-length': body.length,
    ...(asked ? { 'content-range': `bytes ${claimed}-${bytes.length - 1}/${bytes.length}` } : {}),
  };
  response.writeHead(asked ? 206 : 200, headers);
  if (fault && 'dropAfter' in fault)
    return response.write(body.subarray(0, fault.dropAfter), () => setTimeout(() => response.destroy(), 20));
  return response.end(body);
}
