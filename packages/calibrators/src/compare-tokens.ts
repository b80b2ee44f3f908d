import { createRng } from '@calibrant/core';

/** How far the tokens that a model is calibrated on are from those that it is measured on. */
export interface TokenComparison {
  /** Jensen-Shannon divergence of the two distributions of single tokens, in bits: 0 alike, 1 without a token in common. */
  readonly divergence: number;
  /** The same of the tokens of both dealt out at random: what the sizes alone cause. */
  readonly expected: number;
  /** Part of the evaluation tokens that the calibration tokens never hold. */
  readonly unseenShare: number;
  readonly calibrationTokens: number;
  readonly evaluationTokens: number;
}

/**
 * Compares token sequences by the Jensen-Shannon divergence of their unigrams (Lin, "Divergence measures based on the Shannon entropy", 1991). Small samples diverge by
 * themselves, so that the divergence of a random deal of the same tokens (by `seed`) is given beside it.
 */
export function compareTokens(calibration: readonly Int32Array[], evaluation: readonly Int32Array[], seed = 0): TokenComparison {
  const [first, second] = [joined(calibration), joined(evaluation)];
  const dealt = Int32Array.from([...first, ...second]);
  const random = createRng(seed);
  for (let i = dealt.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [dealt[i], dealt[j]] = [dealt[j], dealt[i]];
  }
  const known = new Set(first);
  return {
    divergence: jensenShannon(first, second),
    expected: jensenShannon(dealt.subarray(0, first.length), dealt.subarray(first.length)),
    unseenShare: second.length === 0 ? 0 : second.reduce((count, id) => count + Number(!known.has(id)), 0) / second.length,
    calibrationTokens: first.length,
    evaluationTokens: second.length,
  };
}

/** Beyond what sizes cause; texts of one language and different subjects lie below both, other languages far above. */
const FAR = 0.35;
const MANY_UNSEEN = 0.3;

/** A sentence with numbers when the calibration text is far from the evaluation text. */
export function comparisonWarning({ divergence, expected, unseenShare }: TokenComparison): string | undefined {
  if (divergence - expected <= FAR && unseenShare <= MANY_UNSEEN) return undefined;
  return `The calibration text is far from the evaluation text: the Jensen-Shannon divergence of their tokens is ${divergence.toFixed(3)} bits (${expected.toFixed(3)} would be by chance), and ${(100 * unseenShare).toFixed(1)} % of the evaluation tokens never occur in it. Calibrate on text like that which the model is used for.`;
}

function joined(sequences: readonly Int32Array[]): Int32Array {
  const all = new Int32Array(sequences.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const ids of sequences) {
    all.set(ids, at);
    at += ids.length;
  }
  return all;
}

function jensenShannon(a: Int32Array, b: Int32Array): number {
  const [ofA, ofB] = [counts(a), counts(b)];
  let sum = 0;
  for (const id of new Set([...ofA.keys(), ...ofB.keys()])) {
    const [p, q] = [(ofA.get(id) ?? 0) / Math.max(1, a.length), (ofB.get(id) ?? 0) / Math.max(1, b.length)];
    const middle = (p + q) / 2;
    if (p > 0) sum += (p * Math.log2(p / middle)) / 2;
    if (q > 0) sum += (q * Math.log2(q / middle)) / 2;
  }
  return sum;
}

function counts(ids: Int32Array): Map<number, number> {
  const found = new Map<number, number>();
  for (const id of ids) found.set(id, (found.get(id) ?? 0) + 1);
  return found;
}
