import {
  type AffineTensor,
  affineValues,
  type Backend,
  CalibrantError,
  dequantizeAffine,
  packCodes,
  parseAffineScheme,
  parseOptions,
  type QuantizedLayer,
  type Quantizer,
  schemeGroupSize,
  type Tensor,
  tensor,
  unpackCodes,
} from '@calibrant/core';
import { outputError, roundToNearest, type SampleLayer, sampleLayer } from './sample-layer.js';
import { type Skip, skippable, type TestFramework } from './test-framework.js';

export interface QuantizerSuite extends TestFramework {
  /** A backend with this many lanes (a backend that has one kind only may ignore the number). The suite closes it. */
  readonly createBackend: (options: { readonly lanes: number }) => Promise<Backend>;
  /** Names of the integer grids to try; default: a selection of widths, granularities and both symmetries. */
  readonly schemes?: readonly string[];
  readonly tolerances?: {
    /** Largest error of the outputs on the calibration inputs, as a multiple of round-to-nearest's. Default 1.00001. */
    readonly outputError?: number;
    /** Largest error of a weight, in scales (plus 1e-4 for f32 quotients); give 0.5 for methods that round to nearest. Default: any. */
    readonly weightError?: number;
  };
  readonly skip?: readonly Skip[];
}

const SCHEMES = [
  'int2-g8-asym',
  'int3-g24-sym',
  'int4-channel-asym',
  'int4-g16-asym',
  'int5-tensor-sym',
  'int8-tensor-asym',
  'int8-channel-sym',
];

/**
 * The conformance suite of quantizers: registers a `describe` block of tests with the given test framework.
 *
 * @example
 * import { describe, expect, it } from '@jest/globals';
 * testQuantizer(() => rtn(), { describe, it, expect, createBackend: async () => createReferenceBackend(), tolerances: { weightError: 0.5 } });
 */
export function testQuantizer(factory: () => Quantizer<any>, suite: QuantizerSuite): void {
  const { describe, expect, createBackend, schemes = SCHEMES, tolerances = {}, skip = [] } = suite;
  const plugin = factory();
  const options = parseOptions(plugin.options, {}, plugin.name);
  const usesHessian = plugin.needs.includes('hessian');

  /** Quantizes on a fresh backend and checks that nothing was changed or left behind. */
  async function quantize(layer: SampleLayer, scheme: string, setup: Setup = {}): Promise<QuantizedLayer & { warnings: string[] }> {
    const backend = await createBackend({ lanes: setup.lanes ?? 2 });
    try {
      const weight = await backend.upload(layer.weight);
      const hessian = setup.noHessian ? undefined : await backend.upload(layer.hessian);
      const before = backend.allocatedBytes();
      const warnings: string[] = [];
      const input = { name: layer.name, weight, scheme: parseAffineScheme(scheme)!, observations: { hessian, tokens: layer.tokens } };
      const context = {
        backend: setup.wrap?.(backend) ?? backend,
        warn: (message: string) => void warnings.push(message),
        ...(setup.signal ? { signal: setup.signal } : {}),
      };
      try {
        return { ...(await plugin.quantize(input as typeof input & { observations: { tokens: number } }, options, context)), warnings };
      } finally {
        expect({ bytesLeft: backend.allocatedBytes() - before }).toEqual({ bytesLeft: 0 });
        expect((await backend.download(weight)).data).toEqual(layer.weight.data);
        if (hessian) expect((await backend.download(hessian)).data).toEqual(layer.hessian.data);
      }
    } finally {
      await backend.close();
    }
  }

  async function failure(layer: SampleLayer, scheme: string, setup?: Setup): Promise<CalibrantError> {
    const error = await quantize(layer, scheme, setup).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!CalibrantError.isInstance(error)) throw new Error(`Expected a CalibrantError, found ${String(error)}`, { cause: error });
    return error;
  }

  function expectSound(layer: SampleLayer, scheme: string, { tensor: result }: QuantizedLayer): void {
    expect(problems(layer.weight, scheme, result)).toEqual([]);
    const limit = outputError(layer, roundToNearest(layer.weight, parseAffineScheme(scheme)!));
    expect(outputError(layer, result)).toBeLessThanOrEqual(limit * (tolerances.outputError ?? 1.00001) + 1e-12);
    if (tolerances.weightError !== undefined)
      expect(largestWeightError(layer.weight, result)).toBeLessThanOrEqual(tolerances.weightError + 1e-4);
  }

  const tests = new Map<string, () => Promise<void> | void>();
  tests.set('describes itself, and its options have defaults and reject unknown keys', () => {
    expect([plugin.specificationVersion, plugin.kind]).toEqual(['v1', 'quantizer']);
    expect(plugin.meta.description.length > 0 && plugin.meta.package.length > 0).toBe(true);
    expect(plugin.options.safeParse({ noSuchOption: 1 }).success).toBe(false);
  });
  for (const scheme of schemes)
    tests.set(`${scheme}: codes fit the grid and the error is bounded`, async () => {
      const layer = sampleLayer(37, 48, 1);
      expectSound(layer, scheme, await quantize(layer, scheme));
    });
  tests.set('odd sizes work', async () => {
    for (const [rows, columns, scheme] of [
      [1, 1, 'int4-channel-asym'],
      [1, 7, 'int4-g7-sym'],
      [3, 35, 'int3-g5-asym'],
      [67, 17, 'int8-tensor-sym'],
      [5, 131, 'int4-channel-sym'],
    ] as const) {
      const layer = sampleLayer(rows, columns, rows + columns);
      expectSound(layer, scheme, await quantize(layer, scheme));
    }
  });
  tests.set('results are the same bytes for every number of lanes, and every time', async () => {
    const layer = sampleLayer(200, 32, 2);
    const [first, ...others] = await Promise.all([1, 1, 2, 3].map((lanes) => quantize(layer, 'int4-g16-asym', { lanes })));
    for (const other of others) expect([other.tensor, other.facts]).toEqual([first.tensor, first.facts]);
  });
  tests.set('layers quantized at the same time do not disturb each other', async () => {
    const layers = [3, 4, 5].map((seed) => sampleLayer(40, 24, seed));
    const alone = await Promise.all(layers.map((layer) => quantize(layer, 'int4-g8-sym')));
    const backend = await createBackend({ lanes: 2 });
    try {
      const together = await Promise.all(
        layers.map(async ({ name, weight, hessian, tokens }) => {
          const observations = { hessian: await backend.upload(hessian), tokens };
          const input = { name, weight: await backend.upload(weight), scheme: parseAffineScheme('int4-g8-sym')!, observations };
          return plugin.quantize(input, options, { backend, warn: () => {} });
        }),
      );
      expect(together.map((result) => result.tensor)).toEqual(alone.map((result) => result.tensor));
    } finally {
      await backend.close();
    }
  });
  tests.set('zero weights stay zero', async () => {
    const layer = sampleLayer(9, 16, 6, () => 0);
    const { tensor: result } = await quantize(layer, 'int4-g8-asym');
    expect(affineValues(result).data.every((value) => Number(value) === 0)).toBe(true);
  });
  tests.set('constant weights, and groups of one sign, stay within the error bound', async () => {
    for (const fill of [() => 0.25, () => -3, (row: number, column: number) => (column < 8 ? 0 : row - 4)]) {
      const layer = sampleLayer(9, 16, 7, fill);
      for (const scheme of ['int4-g8-asym', 'int4-channel-sym']) expectSound(layer, scheme, await quantize(layer, scheme));
    }
  });
  tests.set('the backend dequantizes to the values that the codes stand for, also after packing', async () => {
    const layer = sampleLayer(12, 48, 8);
    const { tensor: result } = await quantize(layer, 'int3-g16-asym');
    const packed = packCodes(result.codes, 3);
    const loaded = unpackCodes(packed, 3, result.codes.length);
    expect(loaded).toEqual(result.codes);
    expect(await dequantizeOn(await createBackend({ lanes: 2 }), { ...result, codes: loaded })).toEqual(affineValues(result).data);
  });
  tests.set('NaN and infinite weights are refused by the name of the tensor', async () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const layer = sampleLayer(6, 16, 9, (row, column) => (row === 2 && column === 5 ? bad : 0.1));
      const error = await failure(layer, 'int4-channel-asym');
      expect([error.code, error.message.includes(layer.name)]).toEqual(['NON_FINITE', true]);
    }
  });
  tests.set('a group size that does not divide the row is refused by the name of the tensor', async () => {
    const layer = sampleLayer(4, 24, 10);
    const error = await failure(layer, 'int4-g16-asym');
    expect([error.code, error.message.includes(layer.name)]).toEqual(['SHAPE_MISMATCH', true]);
  });
  tests.set('a signal that has fired cancels before anything is computed', async () => {
    expect((await failure(sampleLayer(4, 16, 11), 'int4-g8-asym', { signal: AbortSignal.abort() })).code).toBe('ABORTED');
  });
  tests.set('a signal that fires on the way cancels and frees every buffer', async () => {
    const controller = new AbortController();
    const wrap = (backend: Backend): Backend => ({
      ...backend,
      run: (kernel, inputs, attributes) => {
        controller.abort();
        return backend.run(kernel, inputs, attributes);
      },
    });
    expect((await failure(sampleLayer(4, 16, 12), 'int4-g8-asym', { signal: controller.signal, wrap })).code).toBe('ABORTED');
  });
  tests.set('missing statistics are named when it needs them, and not needed otherwise', async () => {
    const layer = sampleLayer(4, 16, 13);
    if (!usesHessian) return expectSound(layer, 'int4-g8-asym', await quantize(layer, 'int4-g8-asym', { noHessian: true }));
    const error = await failure(layer, 'int4-g8-asym', { noHessian: true });
    expect([error.code, error.message.includes(layer.name)]).toEqual(['INVALID_ARGUMENT', true]);
  });
  tests.set('useless statistics lead to an error or a warning that names the tensor, never to a bad result', async () => {
    for (const value of [0, Number.NaN, Infinity, -1]) {
      const layer = sampleLayer(4, 16, 14);
      const useless = { ...layer, hessian: tensor('f32', [16, 16], new Float32Array(256).fill(value)) };
      const outcome = await quantize(useless, 'int4-g8-asym').catch((error: unknown) => error as CalibrantError);
      if (CalibrantError.isInstance(outcome)) expect([outcome.code, outcome.message.includes(layer.name)]).toEqual(['NUMERICAL', true]);
      else {
        expect(problems(layer.weight, 'int4-g8-asym', outcome.tensor)).toEqual([]);
        if (usesHessian) expect(outcome.warnings.join()).toContain(layer.name);
      }
    }
  });
  describe(`${plugin.name} is a quantizer`, () => {
    const { test, finish } = skippable(suite, skip);
    for (const [name, body] of tests) test(name, body);
    finish();
  });
}

interface Setup {
  readonly lanes?: number;
  readonly noHessian?: boolean;
  readonly signal?: AbortSignal;
  readonly wrap?: (backend: Backend) => Backend;
}

/** What is wrong with a quantized tensor's parts, as sentences. */
function problems(weight: Tensor, schemeName: string, result: AffineTensor): string[] {
  const [rows, columns] = weight.shape;
  const scheme = parseAffineScheme(schemeName)!;
  const shape = scheme.granularity === 'tensor' ? [1, 1] : [rows, columns / schemeGroupSize(scheme, columns)];
  const top = 2 ** scheme.bits - 1;
  const same = (a: readonly number[], b: readonly number[]) => a.join() === b.join();
  const checks: [string, boolean][] = [
    ['the scheme is the one asked for', JSON.stringify(result.scheme) === JSON.stringify(scheme)],
    ['the shape is the weight’s', same(result.shape, weight.shape) && result.codes.length === rows * columns],
    ['there is one scale and zero point per group', same(result.scales.shape, shape) && same(result.zeroPoints.shape, shape)],
    ['codes and zero points are in range', [...result.codes, ...result.zeroPoints.data].every((code) => Number(code) <= top)],
    ['scales are finite and not zero', result.scales.data.every((scale) => Number.isFinite(Number(scale)) && Number(scale) !== 0)],
    [
      'a symmetric grid has its zero in the middle',
      !scheme.symmetric || result.zeroPoints.data.every((zero) => Number(zero) === 2 ** (scheme.bits - 1)),
    ],
    ['every group index names a group', !result.groupIndex || result.groupIndex.every((group) => group >= 0 && group < shape[1])],
  ];
  return checks.filter(([, holds]) => !holds).map(([sentence]) => `not true: ${sentence}`);
}

/** The largest |w − q| in scales. */
function largestWeightError(weight: Tensor, result: AffineTensor): number {
  const values = affineValues(result).data;
  const [, columns] = weight.shape;
  const groupSize = schemeGroupSize(result.scheme, columns);
  let largest = 0;
  for (let at = 0; at < values.length; at++) {
    const group = result.groupIndex ? result.groupIndex[at % columns] : Math.floor((at % columns) / groupSize);
    const row = result.scheme.granularity === 'tensor' ? 0 : Math.floor(at / columns);
    const scale = Number(result.scales.data[row * result.scales.shape[1] + group]);
    largest = Math.max(largest, Math.abs(Number(weight.data[at]) - Number(values[at])) / scale);
  }
  return largest;
}

async function dequantizeOn(backend: Backend, { shape, scheme, codes, scales, zeroPoints, groupIndex }: AffineTensor) {
  try {
    const inputs = {
      codes: await backend.upload(tensor('u8', shape, codes)),
      scales: await backend.upload(scales),
      zeroPoints: await backend.upload(zeroPoints),
      groupIndex: groupIndex && (await backend.upload(tensor('i32', [groupIndex.length], groupIndex))),
    };
    const { w } = backend.run(dequantizeAffine, inputs, { groupSize: schemeGroupSize(scheme, shape[1]) });
    return (await backend.download(w)).data;
  } finally {
    await backend.close();
  }
}
