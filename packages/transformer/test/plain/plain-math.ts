import type { Tensor } from '@calibrant/core';

export type Vector = Float64Array;
export type Config = Record<string, any>;
export type Weights = ReadonlyMap<string, Tensor>;

/** The functions that layers are made of, in f64, on the weights of one model. */
export function plainMath(weights: Weights) {
  const w = (name: string) => weights.get(name)?.data as Float32Array | undefined;
  return {
    w,
    linear(x: Vector, name: string, transposed = false): Vector {
      const matrix = w(`${name}.weight`)!;
      const bias = w(`${name}.bias`);
      const rows = matrix.length / x.length;
      const [step, next] = transposed ? [rows, 1] : [1, x.length];
      const y = new Float64Array(rows);
      for (let row = 0; row < rows; row++) {
        let sum = bias ? bias[row] : 0;
        for (let i = 0; i < x.length; i++) sum += x[i] * matrix[row * next + i * step];
        y[row] = sum;
      }
      return y;
    },
    rms(x: Vector, name: string, eps: number, offset = 0): Vector {
      const weight = w(`${name}.weight`)!;
      const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
      return x.map((value, i) => (value / Math.sqrt(mean + eps)) * (weight[i] + offset));
    },
    layer(x: Vector, name: string, eps: number): Vector {
      return centred(x, eps).map((value, i) => value * w(`${name}.weight`)![i] + (w(`${name}.bias`)?.[i] ?? 0));
    },
    embed(name: string, ids: ArrayLike<number>, width: number): Vector[] {
      return Array.from(ids, (id) => Float64Array.from(w(name)!.subarray(id * width, (id + 1) * width)));
    },
  };
}

export type PlainMath = ReturnType<typeof plainMath>;

/** Without weights: zero mean, unit variance. */
export function centred(x: Vector, eps: number): Vector {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value) => (value - mean) / Math.sqrt(variance + eps));
}

export const plus = (...vectors: Vector[]): Vector => vectors[0].map((_, i) => vectors.reduce((sum, vector) => sum + vector[i], 0));
export const times = (x: Vector, factor: number): Vector => x.map((value) => value * factor);
export const pieces = (x: Vector, size: number): Vector[] =>
  Array.from({ length: x.length / size }, (_, i) => x.slice(i * size, (i + 1) * size));

/** The error function by Simpson's rule. */
function erf(x: number): number {
  const steps = 120;
  const h = x / steps;
  let sum = 0;
  for (let i = 0; i <= steps; i++) sum += Math.exp(-((i * h) ** 2)) * (i === 0 || i === steps ? 1 : i % 2 ? 4 : 2);
  return ((2 / Math.sqrt(Math.PI)) * sum * h) / 3;
}

export const ACTIVATIONS: Record<string, (x: number) => number> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  relu: (x) => (x > 0 ? x : 0),
  gelu: (x) => (Math.abs(x) > 8 ? (x > 0 ? x : 0) : (x * (1 + erf(x / Math.SQRT2))) / 2),
  gelu_new: (x) => (x * (1 + Math.tanh(0.7978845608028654 * x * (1 + 0.044715 * x * x)))) / 2,
};
ACTIVATIONS['gelu_pytorch_tanh'] = ACTIVATIONS['gelu_new'];

/** Radians per position of each pair, by the kinds of scaling of the golden models. */
export function frequencies(rope: Config, dimensions: number): Vector {
  const { rope_theta: theta, rope_type: kind, factor, low_freq_factor: low, high_freq_factor: high, ...rest } = rope;
  return Float64Array.from({ length: dimensions / 2 }, (_, i) => {
    const plain = theta ** ((-2 * i) / dimensions);
    if (kind !== 'llama3') return plain;
    const length = (2 * Math.PI) / plain;
    const original = rest['original_max_position_embeddings'];
    if (length > original / low) return plain / factor;
    if (length < original / high) return plain;
    const blend = (original / length - low) / (high - low);
    return ((1 - blend) * plain) / factor + blend * plain;
  });
}

/** Turns the first dimensions of a head, in pairs of neighbours or of halves. */
export function turn(x: Vector, position: number, speeds: Vector, neighbours = false): Vector {
  const y = x.slice();
  for (const [i, speed] of speeds.entries()) {
    const [a, b] = neighbours ? [2 * i, 2 * i + 1] : [i, i + speeds.length];
    const [c, s] = [Math.cos(position * speed), Math.sin(position * speed)];
    y[a] = x[a] * c - x[b] * s;
    y[b] = x[b] * c + x[a] * s;
  }
  return y;
}

export interface PlainAttention {
  readonly scale: number;
  readonly window?: number | undefined;
  readonly softcap?: number | null | undefined;
  /** Added to the score: slope of the head times the key's position. */
  readonly slopes?: number[] | undefined;
}

/** Causal attention: for each token its heads `[tokens][heads]`, with fewer key heads than query heads if they are shared. */
export function attend(queries: Vector[][], keys: Vector[][], values: Vector[][], options: PlainAttention): Vector[] {
  const { scale, window = Infinity, softcap, slopes } = options;
  const shared = queries[0].length / keys[0].length;
  return queries.map((heads, t) => {
    const mixed = heads.map((q, head) => {
      const kv = Math.floor(head / shared);
      const from = Math.max(0, t - window + 1);
      const scores = keys.slice(from, t + 1).map((k, s) => {
        const score = q.reduce((sum, value, i) => sum + value * k[kv][i], 0) * scale;
        return (softcap ? softcap * Math.tanh(score / softcap) : score) + (slopes ? slopes[head] * (from + s) : 0);
      });
      const largest = Math.max(...scores);
      const shares = scores.map((score) => Math.exp(score - largest));
      const total = shares.reduce((sum, share) => sum + share, 0);
      return q.map((_, i) => shares.reduce((sum, share, s) => sum + (share / total) * values[from + s][kv][i], 0));
    });
    return Float64Array.from(mixed.flatMap((head) => [...head]));
  });
}
