import {
  type BufferHandle,
  fakeQuantizeWeight,
  linear,
  type QuantizerContext,
  type ScalingSite,
  squaredErrors,
  type Tensor,
  type TransformBlock,
  withBuffers,
} from '@calibrant/core';

/** Measures what quantizing a site's layers costs: the mean squared error of what the site's value becomes. */
export interface Inspection {
  /** With the channels scaled by factors (unscaled if absent) before rounding to nearest. */
  loss(factors?: Float32Array): Promise<number>;
}

/**
 * Makes the inspection of a site: one layer alone is measured at its output, several together at the end of what they belong to (the whole attention, the whole MLP or mixture, both in parallel
 * blocks), on sampled sequences (arXiv 2306.00978, equation 4).
 */
export async function inspect(
  site: ScalingSite,
  block: TransformBlock,
  samples: readonly Tensor[],
  { backend, calibrator }: Pick<QuantizerContext, 'backend' | 'calibrator'>,
): Promise<Inspection> {
  const outputs: Outputs =
    site.linears.length === 1
      ? async (value, weights) => [backend.run(linear, { x: value, w: weights.get(site.linears[0].weight) }, {}).y]
      : (value, weights) => block.recompute(site, value, weights);
  const exact: Tensor[][] = [];
  for (const [i, sample] of samples.entries()) {
    const results = await run(sample, i, block.weights);
    exact.push(await Promise.all(results.map((handle) => backend.download(handle))));
    backend.free(...results);
  }

  async function run(sample: Tensor, i: number, weights: ReadonlyMap<string, BufferHandle>): Promise<readonly BufferHandle[]> {
    const value = await backend.upload(sample, { lane: i % backend.lanes });
    try {
      return await outputs(value, weights);
    } finally {
      backend.free(value);
    }
  }

  /** Σ of squared differences of one sequence. */
  async function errorOf(sample: Tensor, i: number, weights: ReadonlyMap<string, BufferHandle>): Promise<number> {
    const results = await run(sample, i, weights);
    return withBuffers(backend, async (track) => {
      const sums = [];
      for (const [part, b] of results.entries()) {
        const a = track(await backend.upload(exact[i][part], { lane: i % backend.lanes }));
        sums.push(track(backend.run(squaredErrors, { a, b: track(b) }, {}).sums));
      }
      const values = await Promise.all(sums.map((handle) => backend.download(handle)));
      return values.reduce((sum, { data }) => (data as Float64Array).reduce((total, value) => total + value, sum), 0);
    });
  }

  const count = exact.flat().reduce((sum, { data }) => sum + data.length, 0);
  return {
    async loss(factors) {
      const weights = new Map(block.weights);
      const rounded: BufferHandle[] = [];
      try {
        for (const { weight, scheme } of site.linears) {
          if (!scheme) continue;
          const handle = await fakeQuantizeWeight(backend, block.weights.get(weight) as BufferHandle, scheme, { factors, calibrator });
          rounded.push(handle);
          weights.set(weight, handle);
        }
        // Pairs of sequences fill the lanes; the sum is made in the order of the sequences.
        let error = 0;
        for (let i = 0; i < samples.length; i += backend.lanes) {
          const together = samples.slice(i, i + backend.lanes);
          const errors = await Promise.all(together.map((sample, j) => errorOf(sample, i + j, weights)));
          for (const one of errors) error += one;
        }
        return count > 0 ? error / count : 0;
      } finally {
        backend.free(...rounded);
      }
    },
  };
}

type Outputs = (value: BufferHandle, weights: ReadonlyMap<string, BufferHandle>) => Promise<readonly BufferHandle[]>;
