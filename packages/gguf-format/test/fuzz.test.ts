import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type ByteSource, CalibrantError, createReferenceBackend, elementCount } from '@calibrant/core';
import {
  type GgufMetadata,
  GgufWriter,
  ggufValue,
  layOut,
  openGgufCheckpoint,
  readGguf,
  readGgufModel,
  splitGguf,
  verifyGguf,
} from '@calibrant/gguf-format';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { memoryFolder, memorySink, memorySource } from './memory-files.js';
import { smallMetadata, smallModel } from './small-model.js';

const RUNS = 100_000;
const MB = 2 ** 20;
const backend = createReferenceBackend();
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const everyType: GgufMetadata = new Map([
  ...smallMetadata,
  ['general.alignment', ggufValue.u32(16)],
  ...(['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'f64'] as const).map((of) => [of, { type: 'array', of, value: [1, 2, 3] }] as const),
  ...(['u64', 'i64'] as const).map((of) => [of, { type: 'array', of, value: [1n, 2n] }] as const),
  ['bool', { type: 'array', of: 'bool', value: [true, false] }],
]);
const few = [
  { name: 'token_embd.weight', shape: [6, 64], type: 'Q8_0' },
  { name: 'blk.0.attn_norm.weight', shape: [64], type: 'F32' },
  { name: 'blk.0.attn_q.weight', shape: [2, 64], type: 'Q4_0' },
] as const;

/** Small valid files of all kinds. */
let seeds: Uint8Array[];
beforeAll(async () => {
  const small = await smallModel({ tensors: few.map((of) => ({ ...of, shape: [...of.shape] })) });
  const parts = memoryFolder();
  await splitGguf(await readGgufModel(memorySource(small)), parts, { prefix: 'model', maxTensors: 2 });
  const llama2 = new Map([
    ...smallMetadata,
    ['tokenizer.ggml.model', ggufValue.string('llama')] as const,
    ['tokenizer.ggml.scores', ggufValue.f32s([0, -1, -2, -3, -4, -5])] as const,
  ]);
  seeds = [
    small,
    await smallModel({ metadata: everyType, tensors: few.map((of) => ({ ...of, shape: [...of.shape] })) }),
    await smallModel({ metadata: llama2, tensors: few.map((of) => ({ ...of, shape: [...of.shape] })) }),
    ...[...parts.files.values()].map((sink) => sink.bytes()),
    (await smallModel()).slice(0, 1100),
  ];
});

/** A generator of whole numbers below a limit (mulberry32). */
function numbers(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const EXTREMES = [
  0n,
  1n,
  2n,
  3n,
  4n,
  9n,
  31n,
  64n,
  255n,
  ...[16n, 30n, 31n, 53n, 63n].map((bits) => 2n ** bits),
  2n ** 32n - 1n,
  2n ** 64n - 1n,
];

/** A damaged copy: bytes flipped, fields replaced by extreme values, pieces moved, the end cut off or added to. */
function damaged(seed: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = seed.slice();
  // Most of what can go wrong is in the header.
  const place = () => (random(4) === 0 ? random(bytes.length) : random(Math.min(bytes.length, 1400)));
  for (let edits = 1 + random(4); edits > 0 && bytes.length > 0; edits--) {
    const view = new DataView(bytes.buffer);
    switch (random(7)) {
      case 0:
        bytes[place()] ^= 1 << random(8);
        break;
      case 1:
        bytes[place()] = random(256);
        break;
      case 2:
      case 3: {
        const at = Math.min(place(), Math.max(0, bytes.length - 8));
        const near = [BigInt(bytes.length), BigInt(bytes.length - at), BigInt(bytes.length + 1)];
        const value = random(3) === 0 ? near[random(3)] : EXTREMES[random(EXTREMES.length)];
        if (bytes.length < 8) break;
        if (random(2) === 0) view.setBigUint64(at, value, true);
        else view.setUint32(at, Number(value & 0xffffffffn), true);
        break;
      }
      case 4:
        bytes = bytes.slice(0, random(3) === 0 ? random(bytes.length) : bytes.length - random(Math.min(bytes.length, 200)));
        break;
      case 5: {
        const length = 1 + random(40);
        bytes.copyWithin(place(), place(), Math.min(bytes.length, place() + length));
        break;
      }
      default: {
        const longer = new Uint8Array(bytes.length + random(64));
        longer.set(bytes);
        bytes = longer;
      }
    }
  }
  return bytes;
}

/** Counts what is read, and refuses reads beyond the end. */
function countingSource(bytes: Uint8Array): ByteSource & { most: number } {
  const source = {
    name: 'model-00001-of-00002.gguf',
    size: bytes.length,
    most: 0,
    async read(offset: number, length: number) {
      if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length))
        throw new Error(`read of ${length} bytes at ${offset} of ${bytes.length}`);
      source.most = Math.max(source.most, length);
      return bytes.subarray(offset, offset + length);
    },
    async sibling(name: string): Promise<ByteSource> {
      throw new CalibrantError('NOT_FOUND', `no ${name}`);
    },
    async close() {},
  };
  return source;
}

const REFUSALS: readonly string[] = ['CORRUPT_FILE', 'SHAPE_MISMATCH', 'UNSUPPORTED', 'NOT_FOUND'];

/** The error of a piece of work; anything but a {@link CalibrantError} for a file that cannot be used is a failure. */
async function refusal(work: Promise<unknown>): Promise<CalibrantError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (CalibrantError.isInstance(error) && REFUSALS.includes(error.code)) return error;
    throw error;
  }
}

const memoryInUse = () => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

describe('damaged files', () => {
  it(`are refused or read within their bounds, ${RUNS.toLocaleString('en')} of them, in little time and memory`, async () => {
    const random = numbers(20_240_229);
    let readable = 0;
    let slowest = 0;
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    collect();
    const before = memoryInUse();
    for (let run = 0; run < RUNS; run++) {
      const bytes = damaged(seeds[run % seeds.length], random);
      const start = performance.now();
      const source = countingSource(bytes);
      try {
        let file: Awaited<ReturnType<typeof readGguf>> | undefined;
        const error = await refusal(
          readGguf(source).then((result) => {
            file = result;
          }),
        );
        if (file) {
          readable++;
          for (const { name, offset, bytes: length, shape, type } of file.tensors.values())
            if (
              !(
                offset >= file.dataStart &&
                offset + length <= bytes.length &&
                length === (elementCount(shape) / type.blockSize) * type.blockBytes
              )
            )
              throw new Error(`tensor "${name}" of ${length} bytes at ${offset} lies outside of ${bytes.length} bytes`);
          await refusal(openGgufCheckpoint(source, { backend }));
          await verifyGguf(source);
        } else if (!error?.message.includes(source.name)) throw new Error(`the message does not name the file: ${error?.message}`);
        if (source.most > Math.max(bytes.length, MB)) throw new Error(`${source.most} bytes were read at once`);
      } catch (cause) {
        throw new Error(`run ${run}: ${Buffer.from(bytes).toString('base64')}`, { cause });
      }
      slowest = Math.max(slowest, performance.now() - start);
      if (run % 200 === 0 && memoryInUse() - before > 64 * MB) {
        collect();
        expect(memoryInUse() - before).toBeLessThan(64 * MB);
      }
    }
    Error.stackTraceLimit = stackTraceLimit;
    expect(slowest).toBeLessThan(5000);
    // The changes must leave some files readable and break others, or nothing was tried.
    expect(readable).toBeGreaterThan(RUNS / 20);
    expect(readable).toBeLessThan(RUNS / 2);
  }, 120_000);
});

describe('a header made to take memory', () => {
  const LENGTH = 8 * MB;

  /** A header with one array of `count` elements that `fill` writes, in a file of about 8 MB. */
  function arrayFile(of: number, count: number, fill: (view: DataView, at: number) => void): Uint8Array {
    const bytes = new Uint8Array(LENGTH + 64);
    const view = new DataView(bytes.buffer);
    bytes.set(Buffer.from('GGUF'));
    view.setUint32(4, 3, true);
    view.setBigUint64(16, 1n, true);
    view.setBigUint64(24, 1n, true);
    bytes[32] = 97;
    view.setUint32(33, 9, true);
    view.setUint32(37, of, true);
    view.setBigUint64(41, BigInt(count), true);
    fill(view, 49);
    return bytes;
  }
  const strings = (size: number) => {
    const count = Math.floor(LENGTH / (8 + size));
    return arrayFile(8, count, (view, at) => {
      for (let i = 0; i < count; i++) {
        const start = at + i * (8 + size);
        view.setBigUint64(start, BigInt(size), true);
        for (let j = 0; j < size; j++) view.setUint8(start + 8 + j, 97 + ((i >> (4 * j)) & 15));
      }
    });
  };
  /** `count` entries with a boolean each, or tensors of one element. */
  const entries = (tensors: boolean) => {
    const size = tensors ? 8 + 8 + 4 + 8 + 4 + 8 : 8 + 8 + 4 + 1;
    const count = Math.floor((LENGTH - 32) / size);
    const bytes = new Uint8Array(LENGTH);
    const view = new DataView(bytes.buffer);
    bytes.set(Buffer.from('GGUF'));
    view.setUint32(4, 3, true);
    view.setBigUint64(tensors ? 8 : 16, BigInt(count), true);
    for (let i = 0; i < count; i++) {
      const at = 24 + i * size;
      view.setBigUint64(at, 8n, true);
      bytes.set(Buffer.from(i.toString(16).padStart(8, '0')), at + 8);
      view.setUint32(at + 16, tensors ? 1 : 7, true);
      if (tensors) view.setBigUint64(at + 20, 1n, true);
    }
    return bytes;
  };

  const cases: [string, () => Uint8Array, boolean][] = [
    ['one long string', () => strings(LENGTH - 8), true],
    ['strings of two letters', () => strings(2), true],
    ['empty strings', () => strings(0), true],
    ['bytes', () => arrayFile(0, LENGTH, () => {}), true],
    ['booleans', () => arrayFile(7, LENGTH, () => {}), false],
    ['64-bit numbers', () => arrayFile(10, LENGTH / 8, () => {}), true],
    ['entries', () => entries(false), false],
    ['tensors', () => entries(true), false],
  ];
  it.each(cases)('takes at most the size of its file and 64 MB, or is refused: %s', async (_what, make, small) => {
    const bytes = make();
    let peak = 0;
    const source = { ...memorySource(bytes), read: async (offset: number, length: number) => bytes.slice(offset, offset + length) };
    collect();
    const before = memoryInUse();
    const error = await refusal(
      readGguf(source).then((file) => {
        collect();
        peak = memoryInUse() - before;
        return file.metadata.size;
      }),
    );
    if (small) expect(error?.message ?? '').not.toMatch(/of memory/);
    else expect(error?.message).toMatch(/would take more than 58720\d\d\d bytes of memory, too many for a file of 8388\d\d\d bytes/);
    expect(peak).toBeLessThan(bytes.length + 64 * MB);
  });

  it('counts are not believed before the file can hold them', async () => {
    const sink = memorySink();
    const writer = new GgufWriter(sink, layOut(new Map([['a', ggufValue.i32s([1])]]), []));
    await writer.finish();
    const bytes = sink.bytes();
    new DataView(bytes.buffer).setBigUint64(24 + 9 + 8, 2n ** 28n, true);
    await expect(readGguf(memorySource(bytes))).rejects.toThrow(/length of the array "a" is 268435456, more than/);
  });
});
