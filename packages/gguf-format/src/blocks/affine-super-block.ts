import { type AffineTrials, searchAffine } from '../search/affine.js';
import { sumOfSquares, weighByImportance } from '../search/importance.js';
import { searchPositive } from '../search/positive.js';
import { fromHalf, toHalf } from './half.js';
import { nearestCode, nearestInt } from './nearest-int.js';
import { packPairs, pairAt } from './six-bit-pairs.js';

const f = Math.fround;
const SUB_BLOCKS = 8;
const SUB_SIZE = 32;

/** What the encoder of a super-block of 8 affine sub-blocks of 32 finds: `x = d · scale · code − dmin · min`. */
export interface AffineSuperBlock {
  /** Patterns of binary16. */
  readonly d: number;
  readonly dmin: number;
  /** The 12 bytes of eight six-bit scales and minima. */
  readonly pairs: Uint8Array;
  readonly codes: Uint8Array;
}

/** Encodes 256 elements on grids of `levels + 1` steps. */
export function encodeAffineSuperBlock(
  x: Float32Array,
  importance: Float32Array | undefined,
  plain: AffineTrials,
  weighted: AffineTrials,
): AffineSuperBlock {
  const codes = new Uint8Array(SUB_BLOCKS * SUB_SIZE);
  const subScales = new Float32Array(SUB_BLOCKS);
  const subMins = new Float32Array(SUB_BLOCKS);
  const subWeights = new Float32Array(SUB_BLOCKS);
  const sigma2 = importance ? f(f(2 * sumOfSquares(x)) / x.length) : 0;
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const [start, end] = [j * SUB_SIZE, (j + 1) * SUB_SIZE];
    const values = x.subarray(start, end);
    const weights = importance ? weighByImportance(values, importance.subarray(start, end), sigma2) : weighByMagnitude(values);
    for (const weight of weights) subWeights[j] += weight;
    const { scale, min } = searchAffine(values, weights, importance ? weighted : plain, codes.subarray(start, end));
    subScales[j] = scale;
    subMins[j] = min;
  }
  const quantize = importance ? (of: Float32Array) => searchedSixBits(of, subWeights, plain.levels) : plainSixBits;
  const { d, codes: scales } = quantize(subScales);
  const { d: dmin, codes: mins } = quantize(subMins);
  const pairs = packPairs(scales, mins);
  // The codes are taken anew against what the decoder will read; where its scale is zero, those of the search stay.
  for (let j = 0; j < SUB_BLOCKS; j++) {
    const pair = pairAt(pairs, 0, j);
    const scale = f(fromHalf(d) * pair.scale);
    if (scale === 0) continue;
    const min = f(fromHalf(dmin) * pair.min);
    for (let i = j * SUB_SIZE; i < (j + 1) * SUB_SIZE; i++) codes[i] = nearestCode(f(f(x[i] + min) / scale), 0, plain.levels);
  }
  return { d, dmin, pairs, codes };
}

/** `√(Σ x² / 32) + |x|`. */
function weighByMagnitude(x: Float32Array): Float32Array {
  const level = f(Math.sqrt(f(sumOfSquares(x) / x.length)));
  return x.map((value) => level + Math.abs(value));
}

function plainSixBits(values: Float32Array): { d: number; codes: Uint8Array } {
  let max = 0;
  for (const value of values) if (value > max) max = value;
  const inverse = max > 0 ? f(63 / max) : 0;
  return { d: toHalf(f(max / 63)), codes: Uint8Array.from(values, (value) => Math.min(63, nearestInt(f(inverse * value)) & 255)) };
}

function searchedSixBits(values: Float32Array, weights: Float32Array, levels: number): { d: number; codes: Uint8Array } {
  const codes = new Uint8Array(SUB_BLOCKS);
  const d = toHalf(searchPositive(values, weights, 63, codes));
  // Codes that the search left out of range are clamped by ggml in Q5_K, but not in Q4_K.
  return { d, codes: levels === 31 ? codes.map((code) => Math.min(63, code)) : codes };
}
