import { type Backend, type BufferHandle, inverseCholesky, type QuantizerContext, tensor, throwIfAborted } from '@calibrant/core';
import { arrange, diagonal } from './hessian.js';

/** The Hessian's diagonal, with what GPTQ needs to know of it. */
export interface DiagonalFacts {
  readonly diagonal: Float32Array;
  /** 1 for channels that no calibration token ever used. */
  readonly dead: Uint8Array;
  readonly deadChannels: number;
  /** Mean over the channels that are not dead. */
  readonly mean: number;
}

/** Reads the diagonal; undefined when it is not that of a usable Hessian (not finite, negative, or nothing but zeros). */
export async function readDiagonal(backend: Backend, hessian: BufferHandle): Promise<DiagonalFacts | undefined> {
  const handle = backend.run(diagonal, { h: hessian }, {}).diagonal;
  const values = (await backend.download(handle).finally(() => backend.free(handle))).data as Float32Array;
  const dead = Uint8Array.from(values, (value) => (value === 0 ? 1 : 0));
  const deadChannels = dead.reduce((count, flag) => count + flag, 0);
  const mean = values.reduce((sum, value) => sum + value, 0) / (values.length - deadChannels);
  const usable = values.every((value) => value >= 0 && value < Infinity) && mean > 0;
  return usable ? { diagonal: values, dead, deadChannels, mean } : undefined;
}

/** The factor of the damped inverse in processing order, and the damping that it took. */
export interface Factor {
  readonly u: BufferHandle;
  readonly dampPercent: number;
}

/**
 * Factors `(H + damp · mean(diag H) · I)⁻¹ = uᵀu` with rows and columns in processing order. Where that fails the damping
 * grows tenfold, twice, at least to 0.01; undefined when nothing helps. Dead channels get the mean as their diagonal, so that
 * they neither fail nor, unlike the constant 1 of the original code, change the damping. The caller frees `u`.
 */
export async function factorHessian(
  hessian: BufferHandle,
  facts: DiagonalFacts,
  order: BufferHandle,
  dampPercent: number,
  { backend, signal }: QuantizerContext,
): Promise<Factor | undefined> {
  const values = await backend.upload(
    tensor(
      'f32',
      [facts.diagonal.length],
      facts.diagonal.map((value, channel) => (facts.dead[channel] ? facts.mean : value)),
    ),
  );
  const arranged = backend.run(arrange, { h: hessian, values, order }, {}).y;
  try {
    for (let attempt = 0, percent = dampPercent; attempt < 3; attempt++, percent = Math.max(0.01, percent * 10)) {
      throwIfAborted(signal);
      const { u, info } = backend.run(inverseCholesky, { h: arranged }, { damp: percent * facts.mean });
      try {
        const usable = Number((await backend.download(info)).data[0]) === 0;
        throwIfAborted(signal);
        if (usable) return { u, dampPercent: percent };
        backend.free(u);
      } catch (error) {
        backend.free(u);
        throw error;
      } finally {
        backend.free(info);
      }
    }
    return undefined;
  } finally {
    backend.free(values, arranged);
  }
}
