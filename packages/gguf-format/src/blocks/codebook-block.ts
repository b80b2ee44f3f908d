import type { Codebook } from '../codebooks/codebook.js';
import { type CodebookSearch, type CodebookSubBlock, searchCodebook } from '../search/codebook.js';
import { sumOfSquares, weighByImportance } from '../search/importance.js';
import { type BlockType, defineBlockType } from './block-type.js';
import { writeHalf } from './half.js';
import { nearestCode } from './nearest-int.js';

const f = Math.fround;
const SIZE = 256;

/** A type whose blocks hold 256 elements as points of a codebook, with a half factor in the first two bytes and 4-bit scales of sub-blocks. */
export interface CodebookBlock {
  readonly name: string;
  readonly id: number;
  readonly blockBytes: number;
  readonly needsImportance?: boolean;
  readonly search: CodebookSearch;
  /** `σ² = sigma · Σ x² / 256` in the weights `importance · √(σ² + x²)`. */
  readonly sigma: 1 | 2;
  /** The weights without importance are `x²` and this much of σ². */
  readonly plainSigma?: number;
  /** What the factor is multiplied by before it is rounded to half precision. */
  readonly fudge: number;
  /** Writes points, signs and 4-bit scales behind the factor; sub-blocks of zeros are undefined. */
  readonly pack: (subBlocks: readonly (CodebookSubBlock | undefined)[], scales: readonly number[], out: Uint8Array) => void;
  readonly decodeBlock: (block: Uint8Array, out: Float32Array) => void;
}

/** Makes a block type of a codebook. */
export function defineCodebookBlock({ name, id, blockBytes, needsImportance, decodeBlock, ...how }: CodebookBlock): BlockType {
  return defineBlockType({
    name,
    id,
    blockSize: SIZE,
    blockBytes,
    needsImportance: needsImportance === true,
    wasmSuffix: name,
    encodeRow(x, importance, out) {
      for (let block = 0; block * SIZE < x.length; block++) {
        const [start, end] = [block * SIZE, (block + 1) * SIZE];
        encodeBlock(
          x.subarray(start, end),
          importance?.subarray(start, end),
          how,
          out.subarray(block * blockBytes, (block + 1) * blockBytes),
        );
      }
    },
    decodeRow(bytes, out) {
      for (let block = 0; block * SIZE < out.length; block++)
        decodeBlock(bytes.subarray(block * blockBytes, (block + 1) * blockBytes), out.subarray(block * SIZE, (block + 1) * SIZE));
    },
  });
}

type How = Pick<CodebookBlock, 'search' | 'sigma' | 'plainSigma' | 'fudge' | 'pack'>;

function encodeBlock(x: Float32Array, importance: Float32Array | undefined, how: How, out: Uint8Array): void {
  const { search, sigma, plainSigma = 0, fudge, pack } = how;
  const sigma2 = f(f(sigma * sumOfSquares(x)) / SIZE);
  const base = plainSigma > 0 ? f(plainSigma * sigma2) : 0;
  const weights = importance ? weighByImportance(x, importance, sigma2) : x.map((value) => base + f(value * value));
  const subBlocks = Array.from({ length: SIZE / search.size }, (_, j) => {
    const [start, end] = [j * search.size, (j + 1) * search.size];
    return searchCodebook(x.subarray(start, end), weights.subarray(start, end), search);
  });
  const found = subBlocks.map((subBlock) => subBlock?.scale ?? 0);
  const largest = Math.max(...found);
  const d = f(largest / 31);
  const inverse = f(1 / d);
  out.fill(0);
  const scales = found.map((scale) => (largest > 0 ? nearestCode(f(0.5 * f(f(inverse * scale) - 1)), 0, 15) : 0));
  pack(subBlocks, scales, out);
  writeHalf(out, 0, largest > 0 ? f(d * f(fudge)) : 0);
}

/** Writes eight elements of a 2-bit codebook, whose levels are decoded as 8, 25 and 43 eighths. */
export function decodeEight({ points }: Codebook, index: number, signs: number, factor: number, out: Float32Array): void {
  for (let i = 0; i < 8; i++) {
    const size = f(factor * [8, 25, 43][points[index * 8 + i]]);
    out[i] = (signs >> i) & 1 ? -size : size;
  }
}
