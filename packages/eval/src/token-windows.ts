import { CalibrantError } from '@calibrant/core';

/** A tokenized text, cut for measuring. */
export interface TokenWindows {
  readonly windows: readonly Int32Array[];
  /** Tokens per full window. */
  readonly length: number;
  /** The position of the first scored token of each window, 1 where absent: the tokens before it are context. */
  readonly scoredFrom?: readonly number[];
  /** The name of the rule by which the text was cut and is scored; `windowed-LENGTH` if absent. */
  readonly protocol?: string;
  /** UTF-8 bytes of the whole text over its tokens, for bits per byte. */
  readonly bytesPerToken?: number;
}

export interface CutOptions {
  /** How to cut and score: see {@link parseProtocol}. `windowed-512` if absent. */
  readonly protocol?: string;
  /** Tokens per window of a `windowed` protocol, instead of `protocol`. */
  readonly length?: number;
  /** Keep only the first windows. */
  readonly maxWindows?: number;
  /** UTF-8 bytes of the text that became `ids`. */
  readonly bytes?: number;
  /** The token that begins every window of `llama-perplexity-N`, for models that add one to a text. */
  readonly bosTokenId?: number;
}

/** A rule for cutting and scoring. */
export type Protocol =
  | { readonly kind: 'windowed'; readonly length: number; readonly name: string }
  | { readonly kind: 'strided'; readonly length: number; readonly stride: number; readonly name: string }
  | { readonly kind: 'llama-perplexity'; readonly length: number; readonly name: string };

/**
 * Reads a protocol's name.
 *
 * - `windowed-512`: windows of 512 tokens that do not overlap; a last, shorter window stays if it has at least 2 tokens. Each is run on its own, its first token is not scored.
 * - `strided-2048-512`: windows of 2048 tokens that begin 512 tokens apart; each scores the tokens that no earlier window scored, so that all but
 *   the first window's tokens have at least 1536 tokens of context. The last window ends with the text.
 * - `llama-perplexity-512`: as llama.cpp's `llama-perplexity -c 512` does it. Full windows that do not overlap, the first token of each replaced by the
 *   begin token where the model adds one; positions from the middle on predict, so that 255 of 512 tokens are scored.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for another name or numbers out of range.
 */
export function parseProtocol(name: string): Protocol {
  const match = /^(windowed|strided|llama-perplexity)-(\d+)(?:-(\d+))?$/.exec(name);
  const [kind, length, stride] = match ? [match[1] as Protocol['kind'], Number(match[2]), Number(match[3])] : [];
  if (!kind || !length || (kind === 'strided') === Number.isNaN(stride))
    throw wrong(
      `"${name}" is not a protocol. Write windowed-512, strided-2048-512 (length and stride) or llama-perplexity-512, with any numbers.`,
    );
  if (!(Number.isSafeInteger(length) && length >= (kind === 'llama-perplexity' ? 4 : 2)))
    throw wrong(`${name}: a window needs at least ${kind === 'llama-perplexity' ? 4 : 2} tokens, found the length ${length}.`);
  if (kind === 'llama-perplexity' && length % 2) throw wrong(`${name}: the length must be even, since the second half is scored.`);
  if (kind !== 'strided') return { kind, length, name };
  if (!(stride && stride < length)) throw wrong(`${name}: the stride must be from 1 to ${length - 1}, found ${stride}.`);
  return { kind, length, stride, name };
}

/**
 * Cuts a text's tokens by a protocol. For `llama-perplexity-N` give ids that begin as the model's texts do, with its begin token if it adds one, and that
 * token as `bosTokenId`.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for too few tokens or an option out of range.
 * @example
 * const windows = cutWindows(ids, { protocol: 'strided-2048-512', bytes: new TextEncoder().encode(text).length });
 */
export function cutWindows(ids: ArrayLike<number>, options: CutOptions = {}): TokenWindows {
  const { length: wanted = 512, maxWindows = Infinity, bytes, bosTokenId } = options;
  if (options.protocol === undefined && !(Number.isSafeInteger(wanted) && wanted >= 2))
    throw wrong(`A window needs at least 2 tokens, found the length ${wanted}.`, 'length');
  const protocol = parseProtocol(options.protocol ?? `windowed-${wanted}`);
  if (!(maxWindows >= 1)) throw wrong(`At least one window must be measured, found maxWindows ${maxWindows}.`, 'maxWindows');
  const needed = protocol.kind === 'llama-perplexity' ? protocol.length : 2;
  if (ids.length < needed)
    throw wrong(
      `The text has ${ids.length} token${ids.length === 1 ? '' : 's'}; ${protocol.name} needs at least ${needed}${needed === 2 ? ' to predict one from another' : ''}. Give a longer text.`,
    );
  const windows: Int32Array[] = [];
  const scoredFrom: number[] = [];
  for (const { start, end, from } of spans(protocol, ids.length)) {
    if (windows.length >= maxWindows) break;
    const window = Int32Array.from({ length: end - start }, (_, i) => ids[start + i]);
    if (protocol.kind === 'llama-perplexity' && bosTokenId !== undefined) window[0] = bosTokenId;
    windows.push(window);
    scoredFrom.push(from);
  }
  const { length, name } = protocol;
  return { windows, length, scoredFrom, protocol: name, ...(bytes === undefined ? {} : { bytesPerToken: bytes / ids.length }) };
}

function* spans(protocol: Protocol, count: number): Generator<{ start: number; end: number; from: number }> {
  const { kind, length } = protocol;
  if (kind === 'windowed')
    for (let start = 0; start + 2 <= count; start += length) yield { start, end: Math.min(start + length, count), from: 1 };
  if (kind === 'llama-perplexity')
    for (let start = 0; start + length <= count; start += length) yield { start, end: start + length, from: length / 2 + 1 };
  if (kind === 'strided')
    for (let start = 0, scored = 1; scored < count; start += protocol.stride) {
      const end = Math.min(start + length, count);
      yield { start, end, from: scored - start };
      scored = end;
    }
}

function wrong(message: string, option = 'protocol'): CalibrantError {
  return new CalibrantError('INVALID_ARGUMENT', message, { option });
}

/** The protocol's name. */
export function protocolOf({ length, protocol }: TokenWindows): string {
  return protocol ?? `windowed-${length}`;
}

/** The position of a window's first scored token. */
export function scoredFrom({ scoredFrom: starts }: TokenWindows, window: number): number {
  return starts?.[window] ?? 1;
}
