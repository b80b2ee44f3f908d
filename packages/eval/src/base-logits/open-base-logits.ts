import { type Backend, type ByteSource, CalibrantError, tensor } from '@calibrant/core';
import { decodeLogProbabilities } from '../kernels/log-probabilities.js';
import type { BaseLogits } from '../language-model.js';
import { protocolOf, type TokenWindows } from '../token-windows.js';
import { type BaseLogitsHeader, decodeRecord, hashWindows, MAGIC, recordBytes, type WindowRecord } from './layout.js';

/** No honest header is longer: 20 bytes for each of a few hundred thousand windows. */
const MAX_HEADER = 2 ** 26;

export interface OpenBaseLogitsOptions {
  readonly backend: Backend;
  readonly source: ByteSource;
  /** The windows to be compared on. */
  readonly windows: TokenWindows;
  /** The base that is expected, where it is known: its hash must be the file's. */
  readonly base?: { readonly name: string; readonly sha256: string };
}

/**
 * Opens a base-logits file for a comparison on the same windows: one window is read at a time.
 *
 * @throws CalibrantError `CORRUPT_FILE` for a file that is none or is damaged, `INVALID_ARGUMENT` when text, tokenizer, protocol or base are others.
 */
export async function openBaseLogits(options: OpenBaseLogitsOptions): Promise<BaseLogits & { readonly header: BaseLogitsHeader }> {
  const { backend, source, windows, base } = options;
  const { header, start } = await readHeader(source);
  await checkFit(header, windows, source.name);
  if (base && header.base.sha256 !== base.sha256)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${source.name} holds the logits of ${header.base.name}, whose files differ from those of ${base.name}. Name that base, or make the file again with --save-base-logits.`,
      { file: source.name },
    );
  const { vocabSize, scored } = header;
  const offsets: number[] = [];
  let end = start;
  for (const count of scored) {
    offsets.push(end);
    end += recordBytes(count, vocabSize);
  }
  if (end !== source.size)
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${source.name} should have ${end} bytes by its header, found ${source.size}. Make it again with --save-base-logits.`,
      {
        file: source.name,
      },
    );
  // A window is asked for its logits and then for its scores: the record is read once.
  const recent = new Map<number, WindowRecord>();
  return {
    header,
    vocabSize,
    async logits(window, lane) {
      const record = decodeRecord(
        await source.read(offsets[window], recordBytes(scored[window], vocabSize)),
        scored[window],
        vocabSize,
        source.name,
        window,
      );
      recent.set(window, record);
      const place = lane === undefined ? {} : { lane };
      const codes = await backend.upload(tensor('u16', [scored[window], vocabSize], record.codes), place);
      const scales = await backend.upload(tensor('f32', [scored[window]], record.scales), place);
      const { logits } = backend.run(decodeLogProbabilities, { codes, scales }, {});
      backend.free(codes, scales);
      return logits;
    },
    async scores(window) {
      const { nll, top, confidence, squares } = recent.get(window)!;
      recent.delete(window);
      return { nll: nll.slice(), top: top.slice(), confidence: confidence.slice(), squares: squares.slice() };
    },
  };
}

/**
 * Reads the header of a base-logits file: what was measured, by which protocol, of which model.
 *
 * @throws CalibrantError `CORRUPT_FILE`
 */
export async function readHeader(source: ByteSource): Promise<{ readonly header: BaseLogitsHeader; readonly start: number }> {
  const corrupt = (what: string, cause?: unknown) =>
    new CalibrantError(
      'CORRUPT_FILE',
      `${source.name} is not a base-logits file: ${what}. Make one with calibrant eval --save-base-logits FILE.`,
      {
        file: source.name,
        cause,
      },
    );
  const prefix = MAGIC.length + 4;
  if (source.size < prefix) throw corrupt(`it has ${source.size} bytes`);
  const first = await source.read(0, prefix);
  if (new TextDecoder().decode(first.subarray(0, MAGIC.length)) !== MAGIC) throw corrupt(`it does not begin with ${MAGIC}`);
  const size = new DataView(first.buffer, first.byteOffset).getUint32(MAGIC.length, true);
  if (size > MAX_HEADER || prefix + size > source.size) throw corrupt(`its header has ${size} bytes`);
  let header: BaseLogitsHeader;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await source.read(prefix, size)));
  } catch (cause) {
    throw corrupt('its header is not JSON', cause);
  }
  const whole = (value: unknown, least: number) => Number.isSafeInteger(value) && (value as number) >= least;
  const valid =
    whole(header?.vocabSize, 1) &&
    Array.isArray(header.scored) &&
    header.scored.every((count) => whole(count, 1)) &&
    typeof header.tokens === 'string' &&
    typeof header.protocol === 'string' &&
    typeof header.base?.name === 'string';
  if (!valid) throw corrupt('its header lacks vocabSize, scored, tokens, protocol or base');
  return { header, start: prefix + size };
}

async function checkFit({ protocol, scored, tokens }: BaseLogitsHeader, windows: TokenWindows, file: string): Promise<void> {
  const refuse = (what: string) =>
    new CalibrantError('INVALID_ARGUMENT', `${file} was made ${what}. Measure in the same way, or make it again with --save-base-logits.`, {
      file,
    });
  const wanted = protocolOf(windows);
  if (protocol !== wanted) throw refuse(`by the protocol ${protocol}, not ${wanted}`);
  if (scored.length !== windows.windows.length)
    throw refuse(`on ${scored.length} windows of its text, and there are ${windows.windows.length} now: another text, or other --windows`);
  if (tokens !== (await hashWindows(windows))) throw refuse('on other tokens: the text or the tokenizer is another');
}
