import {
  affineTensor,
  type Backend,
  type BoundCalibrator,
  checkAffineLayer,
  defineQuantizer,
  fitScheme,
  type LinearLayer,
  measureGridUse,
  parseOptions,
  type QuantizedLayer,
  type Quantizer,
  type QuantizerContext,
  roundToGrid,
  throwIfAborted,
} from '@calibrant/core';
import { z } from 'zod';

const schema = z.strictObject({});

/** RTN has no options: the scheme says everything. */
export type RtnOptions = z.input<typeof schema>;

/**
 * Round-to-nearest: every weight goes to the nearest code of the grid that spans its tensor's, row's or group's range, or the range that the context's
 * calibrator chooses of it (`fitScheme` and `roundAffine` of the core). Needs no calibration data; the baseline that other quantizers are measured against.
 *
 * The facts say how the weights use their grid: `codesUsed`, `codeEntropy` and `clippedShare`.
 *
 * `quantize` throws `SHAPE_MISMATCH` when the group size does not divide a row, `NON_FINITE` for NaN or infinite weights and
 * `ABORTED` when the signal fires.
 *
 * @example
 * const { tensor } = await rtn().quantize({ name: 'w', weight, scheme: parseAffineScheme('int4-g128-asym')! }, {}, { backend, warn });
 */
export function rtn(options: RtnOptions = {}): Quantizer<RtnOptions> {
  parseOptions(schema, options, 'rtn');
  return defineQuantizer<RtnOptions>({
    name: 'rtn',
    aliases: ['round-to-nearest'],
    meta: { description: 'Round to nearest: no calibration data, fastest', package: '@calibrant/rtn' },
    options: schema,
    needs: [],
    async quantize(layer, _, { backend, signal, calibrator }: QuantizerContext) {
      throwIfAborted(signal);
      await checkAffineLayer(backend, layer);
      throwIfAborted(signal);
      return roundLayer(backend, layer, calibrator);
    },
  });
}

async function roundLayer(
  backend: Backend,
  { weight, scheme }: LinearLayer,
  calibrator: BoundCalibrator | undefined,
): Promise<QuantizedLayer> {
  const grid = await fitScheme(backend, weight, scheme, calibrator);
  const codes = roundToGrid(backend, weight, grid, scheme);
  try {
    const [codesValue, scales, zeroPoints] = await Promise.all(
      [codes, grid.scales, grid.zeroPoints].map((buffer) => backend.download(buffer)),
    );
    const facts = await measureGridUse(backend, { weight, scheme }, { ...grid, codes });
    return { tensor: affineTensor(scheme, { codes: codesValue, scales, zeroPoints }), facts: { ...facts } };
  } finally {
    backend.free(codes, grid.scales, grid.zeroPoints);
  }
}
