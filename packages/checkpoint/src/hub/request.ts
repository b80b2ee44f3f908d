import { CalibrantError } from '@calibrant/core';
import { retryable } from './retry.js';

export interface HubConnection {
  /** `organisation/name`, for messages. */
  readonly repo: string;
  readonly revision: string;
  /** `model` if absent, for messages. */
  readonly what?: string;
  readonly hubUrl: string;
  readonly token?: string;
  readonly fetch: typeof fetch;
  readonly signal?: AbortSignal;
}

/**
 * A `fetch` for one repository: sends the token to the Hub (and to nobody else), and turns failures into errors that say what to do.
 * Temporary ones (no connection, 408, 429, 5xx) are marked as worth a repetition.
 */
export function hubFetch(connection: HubConnection): typeof fetch {
  const { hubUrl, token, signal } = connection;
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const headers = new Headers(init?.headers);
    if (token !== undefined && new URL(url).origin === new URL(hubUrl).origin) headers.set('authorization', `Bearer ${token}`);
    let response: Response;
    try {
      response = await connection.fetch(url, { ...init, headers, ...(signal ? { signal } : {}) });
    } catch (cause) {
      if (signal?.aborted) throw new CalibrantError('ABORTED', 'The download was cancelled.', { cause });
      throw retryable(`${hubUrl} cannot be reached (${reasonOf(cause)}). Check the connection, or use a local folder.`, {
        file: url,
        cause,
      });
    }
    if (response.ok) return response;
    await response.body?.cancel();
    throw refusal(connection, url, response);
  };
}

function refusal({ repo, revision, hubUrl, token, what = 'model' }: HubConnection, url: string, response: Response): CalibrantError {
  const { status } = response;
  const problem = response.headers.get('x-error-code');
  const error = (code: 'NETWORK' | 'NOT_FOUND', message: string) => new CalibrantError(code, message, { file: url, status });
  if (status === 401 || status === 403) {
    if (problem === 'GatedRepo' || (status === 403 && token !== undefined))
      return error(
        'NETWORK',
        `Access to ${repo} is restricted (${status}). Accept its conditions at ${hubUrl}/${repo}${token === undefined ? ', then set HF_TOKEN to a token of your account' : ' with the account that your token belongs to'}, and try again.`,
      );
    return token === undefined
      ? error(
          'NETWORK',
          `${repo} does not exist, or is private (${status}). Check the spelling; if it is yours, set HF_TOKEN to a token that may read it.`,
        )
      : error(
          'NETWORK',
          `The Hub did not accept the token for ${repo} (${status}). Make a new one with read permission and set HF_TOKEN to it.`,
        );
  }
  if (status === 404) {
    if (problem === 'RevisionNotFound')
      return error('NOT_FOUND', `${repo} has no revision "${revision}". Name a branch, tag or commit that it has.`);
    if (problem === 'EntryNotFound') return error('NOT_FOUND', `${repo} at ${revision} has no such file: ${url}.`);
    return error(
      'NOT_FOUND',
      `There is no ${what} ${repo} (revision ${revision}) at ${hubUrl}. Check the spelling, or name a local folder that exists.`,
    );
  }
  if (status === 408 || status === 429 || status >= 500)
    return retryable(`${hubUrl} answered ${status} for ${url}. Try again later.`, { file: url, status, retryAfter: retryAfter(response) });
  return error('NETWORK', `${hubUrl} answered ${status} for ${url}.`);
}

/** Milliseconds; 0 when the header is absent or a date. */
function retryAfter(response: Response): number {
  const seconds = Number(response.headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) ? seconds * 1000 : 0;
}

/** undici hides the reason (`ECONNREFUSED …`) in the cause. */
function reasonOf(error: unknown): string {
  const cause = (error as { cause?: { message?: string } })?.cause;
  return cause?.message || (error as Error).message;
}
