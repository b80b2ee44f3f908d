import type { ByteSource } from '@calibrant/core';
import { hubEnvironment, hubToken } from '../hub/settings.node.js';
import { fileSource } from './file-source.node.js';
import { httpSource } from './http-source.js';

/** Whether a user means a remote file. */
export function isHttpUrl(reference: string): boolean {
  return /^https?:\/\//i.test(reference);
}

/**
 * Opens a file by its path, or by `http(s)://…` for one that is read by range requests. The access token goes to the Hub and to nobody else.
 *
 * @throws CalibrantError as {@link fileSource} and {@link httpSource} do.
 */
export async function openSource(reference: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<ByteSource> {
  if (!isHttpUrl(reference)) return fileSource(reference);
  const { hubUrl } = hubEnvironment();
  const atHub = URL.canParse(reference) && new URL(reference).origin === new URL(hubUrl).origin;
  const token = atHub ? await hubToken() : undefined;
  // What a browser shows of a file is a page about it; the file itself is at "resolve".
  const url = atHub ? reference.replace(/^([^?#]*?\/[^/]+\/[^/]+)\/blob\//, '$1/resolve/') : reference;
  return httpSource(url, { ...(token ? { headers: { authorization: `Bearer ${token}` } } : {}), ...(signal ? { signal } : {}) });
}
