import { type Backend, type BufferHandle, CalibrantError, tensor } from '@calibrant/core';
import { tokenScores } from '../kernels/token-scores.js';

/** What a model gives for each scored token of a window. */
export interface TokenScores {
  /** −ln p of the token that follows, nats. */
  readonly nll: Float32Array;
  /** The most likely token, the first of equals. */
  readonly top: Int32Array;
  /** Its probability. */
  readonly confidence: Float32Array;
  /** Σ p² over the vocabulary. */
  readonly squares: Float32Array;
}

/** Scores a window: logits f32 `[scored tokens, vocabulary]`, row r predicts `targets[r]`. @throws CalibrantError `NON_FINITE` */
export async function scoreTokens(backend: Backend, logits: BufferHandle, targets: Int32Array, window: number): Promise<TokenScores> {
  const uploaded = await backend.upload(
    tensor('i32', [targets.length], Int32Array.from(targets)),
    logits.lane === undefined ? {} : { lane: logits.lane },
  );
  const made = backend.run(tokenScores, { logits, targets: uploaded }, {});
  try {
    const [nll, top, confidence, squares] = await Promise.all(
      [made.nll, made.top, made.confidence, made.squares].map(async (handle) => (await backend.download(handle)).data),
    );
    expectNumbers(nll as Float32Array, window);
    return {
      nll: nll as Float32Array,
      top: top as Int32Array,
      confidence: confidence as Float32Array,
      squares: squares as Float32Array,
    };
  } finally {
    backend.free(uploaded, made.nll, made.top, made.confidence, made.squares);
  }
}

/** @throws CalibrantError `NON_FINITE` that names the window and token. */
export function expectNumbers(values: Float32Array, window: number): void {
  const bad = values.findIndex((value) => Number.isNaN(value));
  if (bad >= 0)
    throw new CalibrantError(
      'NON_FINITE',
      `The logits that predict scored token ${bad + 1} of window ${window} hold NaN. The model's weights hold NaN or infinite values, or its arithmetic overflowed: check the weights (\`calibrant inspect\`) or measure in f32.`,
      { window, token: bad + 1 },
    );
}
