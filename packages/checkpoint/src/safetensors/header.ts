import { type ByteSource, CalibrantError, DTYPES, type DType } from '@calibrant/core';
import { duplicateName } from './duplicate-names.js';

/** One tensor of a safetensors file. */
export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Where its bytes begin, from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  /** In the order of their bytes in the file. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the first tensor begins. */
  readonly dataStart: number;
}

/** The limit of the reference implementation, so that a forged length cannot make a reader allocate without bound. */
export const MAX_HEADER_BYTES = 100_000_000;

const BY_SAFETENSORS_NAME = new Map(Object.entries(DTYPES).map(([dtype, info]) => [info.safetensors, dtype as DType]));
/** Types of the format that no operation here can compute with. */
const OTHER_DTYPES = new Set(['F4', 'F6_E2M3', 'F6_E3M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ', 'C64']);

/**
 * Reads and checks the header of a safetensors file: its length (at most 100 MB and within the file), well-formed JSON without
 * repeated names, known types, shapes of whole numbers whose size equals the byte range, and ranges that cover the rest of the
 * file exactly, without overlap and without holes. Nothing of the tensors is read.
 *
 * Format: https://github.com/huggingface/safetensors#format
 *
 * @throws CalibrantError `CORRUPT_FILE` naming file, tensor and offset; `UNSUPPORTED` for an element type that Calibrant does not have.
 * @example
 * const source = await fileSource('model.safetensors');
 * const { tensors } = await readSafetensorsHeader(source);
 */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const length = await headerLength(source);
  const json = decodeHeader(source, await source.read(8, length));
  const dataStart = 8 + length;
  const entries: SafetensorsEntry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') metadata = checkMetadata(source, value);
    else entries.push(checkEntry(source, name, value, dataStart));
  }
  entries.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  checkCoverage(source, entries, dataStart);
  return { tensors: new Map(entries.map((entry) => [entry.name, entry])), metadata, dataStart };
}

async function headerLength(source: ByteSource): Promise<number> {
  if (source.size < 8)
    throw corrupt(source, `it has ${source.size} bytes, and a safetensors file begins with 8 bytes that hold the length of its header`);
  const prefix = await source.read(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw corrupt(source, `its first 8 bytes give a header of ${length} bytes, and ${MAX_HEADER_BYTES} is the limit`, { offset: 0 });
  if (8n + length > BigInt(source.size))
    throw corrupt(source, `its first 8 bytes give a header of ${length} bytes, but the whole file has ${source.size}`, { offset: 0 });
  return Number(length);
}

function decodeHeader(source: ByteSource, bytes: Uint8Array): Record<string, unknown> {
  let json: unknown;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    throw corrupt(source, `its header is not valid JSON (${(cause as Error).message})`, { offset: 8, cause });
  }
  if (!isRecord(json) || text[0] !== '{') throw corrupt(source, 'its header must be a JSON object that starts with "{"', { offset: 8 });
  const repeated = duplicateName(text);
  if (repeated !== undefined)
    throw corrupt(source, `its header holds the name "${repeated}" twice in one object`, { tensor: repeated, offset: 8 });
  return json;
}

function checkMetadata(source: ByteSource, value: unknown): Record<string, string> {
  if (!isRecord(value) || Object.values(value).some((text) => typeof text !== 'string'))
    throw corrupt(source, '"__metadata__" must be an object whose values are all strings', { offset: 8 });
  return value as Record<string, string>;
}

function checkEntry(source: ByteSource, name: string, value: unknown, dataStart: number): SafetensorsEntry {
  const refuse = (what: string) => corrupt(source, `tensor "${name}" ${what}`, { tensor: name, offset: dataStart });
  if (!isRecord(value)) throw refuse('is described by something that is not an object');
  const { dtype: dtypeName, shape, data_offsets: range } = value;
  const dtype = BY_SAFETENSORS_NAME.get(String(dtypeName));
  if (!dtype) {
    if (OTHER_DTYPES.has(String(dtypeName)))
      throw new CalibrantError(
        'UNSUPPORTED',
        `${source.name}: tensor "${name}" is stored as ${dtypeName}, which Calibrant cannot read. Supported: ${[...BY_SAFETENSORS_NAME.keys()].join(', ')}.`,
        { file: source.name, tensor: name },
      );
    throw refuse(`has the unknown element type ${JSON.stringify(dtypeName)}`);
  }
  if (!isSizeList(shape)) throw refuse(`has the shape ${JSON.stringify(shape)}, expected a list of whole numbers ≥ 0`);
  if (!isSizeList(range) || range.length !== 2 || range[0] > range[1])
    throw refuse(`has the data_offsets ${JSON.stringify(range)}, expected [begin, end] with begin ≤ end`);
  const elements = shape.reduce((product, size) => product * BigInt(size), 1n);
  const expected = elements * BigInt(DTYPES[dtype].bytes);
  const bytes = range[1] - range[0];
  if (expected !== BigInt(bytes))
    throw refuse(`takes ${expected} bytes as ${dtypeName} [${shape.join(', ')}], but its data_offsets [${range.join(', ')}] hold ${bytes}`);
  return { name, dtype, shape, offset: dataStart + range[0], bytes };
}

function checkCoverage(source: ByteSource, entries: readonly SafetensorsEntry[], dataStart: number): void {
  const described = entries.reduce((end, entry) => Math.max(end, entry.offset + entry.bytes), dataStart);
  if (described > source.size)
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${source.name} is cut off: its header describes a file of ${described} bytes, but it has ${source.size}. Download or copy it again.`,
      { file: source.name, tensor: entries.at(-1)?.name, offset: source.size, expectedBytes: described, foundBytes: source.size },
    );
  let at = dataStart;
  for (const { name, offset, bytes } of entries) {
    if (offset !== at) {
      const problem = offset < at ? 'overlaps the tensor before it, which ends' : 'leaves a hole behind the data before it, which ends';
      throw corrupt(source, `tensor "${name}" begins at byte ${offset} and ${problem} at ${at}`, { tensor: name, offset });
    }
    at += bytes;
  }
  if (at !== source.size)
    throw corrupt(source, `its header describes ${at} bytes, but the file has ${source.size}: bytes that belong to no tensor follow`, {
      offset: at,
    });
}

function corrupt(source: ByteSource, problem: string, details: Record<string, unknown> = {}): CalibrantError {
  return new CalibrantError('CORRUPT_FILE', `${source.name} is not a valid safetensors file: ${problem}. Download or write it again.`, {
    file: source.name,
    ...details,
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizeList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
