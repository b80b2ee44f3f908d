import type { Backend, BufferHandle, ByteSink } from '@calibrant/core';
import { encodeLogProbabilities } from '../kernels/log-probabilities.js';
import type { TokenScores } from '../scores/token-scores.js';
import { protocolOf, scoredFrom, type TokenWindows } from '../token-windows.js';
import { type BaseIdentity, type BaseLogitsHeader, encodeRecord, hashWindows, MAGIC, recordBytes } from './layout.js';

/** Where a measurement puts the logits of the base, window by window in any order. */
export interface BaseLogitsSink {
  /** Logits f32 `[scored tokens, vocabulary]` and what they gave. */
  add(window: number, logits: BufferHandle, scores: TokenScores): Promise<void>;
}

export interface WriteBaseLogitsOptions {
  readonly backend: Backend;
  readonly windows: TokenWindows;
  readonly vocabSize: number;
  readonly base: BaseIdentity;
  /** SHA-256 of the text, for people and messages; the ids are what is checked. */
  readonly text?: string;
  /** Opens the file, told its size. */
  readonly create: (bytes: number) => Promise<ByteSink>;
}

/**
 * Starts a base-logits file: 2 bytes per vocabulary entry and scored token. Windows are written as they come; the sink is the caller's to close.
 *
 * @example
 * const save = await writeBaseLogits({ backend, windows, vocabSize, base: { name: 'my-model' }, create: (bytes) => folder.create('base.logits', { bytes }) });
 * await evaluateText({ backend, model, windows, save });
 */
export async function writeBaseLogits(options: WriteBaseLogitsOptions): Promise<BaseLogitsSink> {
  const { backend, windows, vocabSize, base, text, create } = options;
  const header: BaseLogitsHeader = {
    vocabSize,
    protocol: protocolOf(windows),
    tokens: await hashWindows(windows),
    scored: windows.windows.map((ids, index) => ids.length - scoredFrom(windows, index)),
    base,
    ...(text === undefined ? {} : { text }),
  };
  const json = new TextEncoder().encode(JSON.stringify(header));
  // Spaces behind the JSON, so that records begin at a multiple of 4.
  const size = Math.ceil(json.length / 4) * 4;
  const start = new Uint8Array(MAGIC.length + 4 + size).fill(0x20);
  start.set(new TextEncoder().encode(MAGIC));
  new DataView(start.buffer).setUint32(MAGIC.length, size, true);
  start.set(json, MAGIC.length + 4);
  const offsets: number[] = [];
  let end = start.length;
  for (const scored of header.scored) {
    offsets.push(end);
    end += recordBytes(scored, vocabSize);
  }
  const sink = await create(end);
  await sink.write(0, start);
  return {
    async add(window, logits, scores) {
      const { codes, scales } = backend.run(encodeLogProbabilities, { logits }, {});
      try {
        const [coded, steps] = await Promise.all([backend.download(codes), backend.download(scales)]);
        const record = { ...scores, codes: coded.data as Uint16Array, scales: steps.data as Float32Array };
        await sink.write(offsets[window], encodeRecord(record, vocabSize));
      } finally {
        backend.free(codes, scales);
      }
    },
  };
}
