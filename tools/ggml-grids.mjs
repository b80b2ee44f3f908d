// Derives the grids of ggml's codebook types from its own decoder: blocks are crafted so that every index of a grid is decoded once, and the levels
// read off the floats. Writes packages/gguf-format/src/codebooks/*.data.ts, and assembly/codebook-bytes.ts with the room that the tables made of them take; run it
// again only when a type is added: node tools/ggml-grids.mjs
import { readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { root } from './setup.mjs';

const require = createRequire(path.join(root, 'packages/gguf-format/package.json'));
const { getBinsDir } = await import(require.resolve(`@node-llama-cpp/${process.platform}-${process.arch}`));
const folder = path.join(getBinsDir().binsDir, `${process.platform}-${process.arch}`);
const library = require('koffi').load(
  path.join(
    folder,
    readdirSync(folder).find((name) => /^(lib)?ggml-base/.test(name)),
  ),
);

const ONE = [0x00, 0x3c];
const HALF_STEPS = [8, 25, 43];
const QUARTER_STEPS = [4, 12, 20, 28, 36, 44, 52, 62];
const ODD = [1, 3, 5, 7, 9, 11, 13, 15];
/** 1 ± 1/8 and 0 ± 1/8 with the shift + 1/8. */
const TERNARY = [-0.875, 0.125, 1.125];

/**
 * Each grid: how many points, elements of a point, values of the levels in the decoder, and a block of 256 whose first point is that of `index`
 * with the factor d = 1 and the least scale; `unit` is what the decoder multiplies the values by, `shells` at how many distances points are searched.
 */
const grids = [
  {
    name: 'iq2-xxs',
    shells: 2,
    points: 256,
    size: 8,
    values: HALF_STEPS,
    unit: 1 / 8,
    block: (i) => block(66, { 0: ONE, 2: [i] }),
  },
  {
    name: 'iq2-xs',
    shells: 2,
    points: 512,
    size: 8,
    values: HALF_STEPS,
    unit: 1 / 8,
    block: (i) => block(74, { 0: ONE, 2: [i & 255, i >> 8] }),
  },
  {
    name: 'iq2-s',
    shells: 1,
    points: 1024,
    size: 8,
    values: HALF_STEPS,
    unit: 1 / 8,
    block: (i) => block(82, { 0: ONE, 2: [i & 255], 66: [i >> 8] }),
  },
  {
    name: 'iq3-xxs',
    shells: 2,
    points: 256,
    size: 4,
    values: QUARTER_STEPS,
    unit: 1 / 4,
    block: (i) => block(98, { 0: ONE, 2: [i] }),
  },
  {
    name: 'iq3-s',
    shells: 3,
    points: 512,
    size: 4,
    values: ODD,
    unit: 1,
    block: (i) => block(110, { 0: ONE, 2: [i & 255], 66: [i >> 8] }),
  },
  {
    name: 'iq1',
    decoder: 'iq1_s',
    shells: 3,
    points: 2048,
    size: 8,
    values: TERNARY,
    unit: 1,
    block: (i) => block(50, { 0: ONE, 2: [i & 255], 34: [i >> 8] }),
  },
];

let tableBytes = 16;
for (const grid of grids) {
  const decoder = grid.decoder ?? grid.name.replace('-', '_');
  const decode = library.func(`void dequantize_row_${decoder}(const uint8_t* blocks, _Out_ float* out, int64_t k)`);
  const radix = grid.values.length;
  const bits = new Uint8Array(Math.ceil(radix ** grid.size / 8));
  const out = new Float32Array(256);
  const points = [];
  let last = -1;
  for (let index = 0; index < grid.points; index++) {
    decode(grid.block(index), out, 256);
    let key = 0;
    for (let i = grid.size - 1; i >= 0; i--) {
      const level = grid.values.indexOf(out[i] / grid.unit);
      if (level < 0) throw new Error(`${grid.name}: index ${index} decodes to ${out[i]}, which is none of the values of its levels.`);
      key = key * radix + level;
    }
    if (key <= last)
      throw new Error(`${grid.name}: index ${index} stands for point ${key}, after ${last}: the points are not in ascending order.`);
    last = key;
    points.push(digits(key, grid));
    bits[key >> 3] |= 1 << (key & 7);
  }
  const base64 = Buffer.from(bits).toString('base64').replace(/=+$/, '');
  const constant = grid.name.toUpperCase().replace('-', '_');
  writeFileSync(
    path.join(root, `packages/gguf-format/src/codebooks/${grid.name}.data.ts`),
    `/**
 * The ${grid.points} points of the grid of ${constant === 'IQ1' ? 'IQ1_S and IQ1_M' : constant}: bit k, from the lowest of each byte, says whether the grid holds the point whose ${grid.size} levels
 * (0 … ${radix - 1}) are the digits of k in base ${radix}, the first element's the lowest. Base64. Made by tools/ggml-grids.mjs.
 */
export const ${constant}_POINTS =
  '${base64}';
`,
  );
  console.log(`${grid.name}: ${grid.points} points of ${radix ** grid.size}`);
  tableBytes += bytesOfTables(grid, points);
}
checkSigns();
writeFileSync(
  path.join(root, 'packages/gguf-format/assembly/codebook-bytes.ts'),
  `/** What the tables of all codebooks take in the end. Made by tools/ggml-grids.mjs. */
export const TABLE_BYTES: i32 = ${tableBytes};
`,
);

function digits(key, { size, values }) {
  return Array.from({ length: size }, (_, i) => Math.floor(key / values.length ** i) % values.length);
}

/** Levels, values (twice for IQ1), a word for each key, and for each key without a point a list: a word, and two bytes for each of its candidates in fours. */
function bytesOfTables(grid, points) {
  const padded = (bytes) => Math.ceil(bytes / 16) * 16;
  const keys = grid.values.length ** grid.size;
  let bytes = padded(points.length * grid.size) * (grid.decoder ? 9 : 5) + padded(4 * keys);
  for (let key = 0; key < keys; key++) {
    const counts = [];
    const levels = digits(key, grid);
    for (const point of points) {
      const distance = levels.reduce((sum, level, i) => sum + (level - point[i]) ** 2, 0);
      counts[distance] = (counts[distance] ?? 0) + 1;
    }
    const candidates = Object.values(counts)
      .slice(0, grid.shells)
      .reduce((sum, count) => sum + count, 0);
    if (!counts[0]) bytes += padded(4 + 8 * Math.ceil(candidates / 4));
  }
  return bytes;
}

function block(bytes, parts) {
  const made = new Uint8Array(bytes);
  for (const [at, values] of Object.entries(parts)) made.set(values, Number(at));
  return made;
}

/** Seven bits of signs: the eighth makes their number even. */
function checkSigns() {
  const decode = library.func('void dequantize_row_iq2_xxs(const uint8_t* blocks, _Out_ float* out, int64_t k)');
  const out = new Float32Array(256);
  for (let signs = 0; signs < 128; signs++) {
    decode(block(66, { 0: ONE, 6: [signs] }), out, 256);
    const found = out.slice(0, 8).reduce((bits, value, i) => bits | (value < 0 ? 1 << i : 0), 0);
    let odd = 0;
    for (let i = 0; i < 7; i++) odd ^= (signs >> i) & 1;
    if (found !== (signs | (odd << 7))) throw new Error(`The signs ${signs} decode to ${found}, not by parity.`);
  }
  console.log('signs: the eighth makes the parity even');
}
