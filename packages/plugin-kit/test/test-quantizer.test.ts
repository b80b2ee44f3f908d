import {
  affineTensor,
  type BufferHandle,
  checkAffineLayer,
  createReferenceBackend,
  defineQuantizer,
  fitScheme,
  type LinearLayer,
  type Quantizer,
  type QuantizerContext,
  roundToGrid,
  type Tensor,
  throwIfAborted,
} from '@calibrant/core';
import { testQuantizer } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';

interface Faults {
  readonly change?: (parts: { codes: Tensor; scales: Tensor; zeroPoints: Tensor }, layer: LinearLayer) => void;
  readonly skipCheck?: boolean;
  readonly ignoreSignal?: boolean;
  readonly leak?: boolean;
  readonly looseOptions?: boolean;
}

/** Round-to-nearest, with a fault. */
function quantizerWith({ change, skipCheck, ignoreSignal, leak, looseOptions }: Faults): Quantizer<object> {
  return defineQuantizer<object>({
    name: 'faulty',
    meta: { description: 'For the tests of the suite', package: 'test' },
    options: looseOptions ? z.looseObject({}) : z.strictObject({}),
    needs: [],
    async quantize(layer: LinearLayer, _: object, { backend, signal }: QuantizerContext) {
      if (!ignoreSignal) throwIfAborted(signal);
      if (!skipCheck) await checkAffineLayer(backend, layer);
      if (!ignoreSignal) throwIfAborted(signal);
      const grid = await fitScheme(backend, layer.weight, layer.scheme);
      const handles: BufferHandle[] = [roundToGrid(backend, layer.weight, grid, layer.scheme), grid.scales, grid.zeroPoints];
      const [codes, scales, zeroPoints] = await Promise.all(handles.map((handle) => backend.download(handle)));
      backend.free(...(leak ? handles.slice(1) : handles));
      change?.({ codes, scales, zeroPoints }, layer);
      return { tensor: affineTensor(layer.scheme, { codes, scales, zeroPoints }) };
    },
  });
}

/** Changes the first element of a part of the result. */
function first(part: 'codes' | 'scales' | 'zeroPoints', change: (value: number) => number): Faults {
  return {
    change: (parts) => {
      parts[part].data[0] = change(Number(parts[part].data[0]));
    },
  };
}

/** The names of the suite's tests that fail for a quantizer. */
async function failures(faults: Faults): Promise<string[]> {
  const tests: [string, () => void | Promise<void>][] = [];
  testQuantizer(() => quantizerWith(faults), {
    describe: (_, body) => body(),
    it: (name, body) => tests.push([name, body]),
    expect,
    createBackend: async () => createReferenceBackend(),
    schemes: ['int4-g16-asym', 'int8-channel-sym'],
    tolerances: { weightError: 0.5 },
  });
  const failed: string[] = [];
  for (const [name, body] of tests)
    try {
      await body();
    } catch {
      failed.push(name);
    }
  return failed;
}

describe('the conformance suite of quantizers', () => {
  it('passes one without faults', async () => {
    expect(await failures({})).toEqual([]);
  });

  it.each<[string, Faults, string]>([
    ['a wrong code', first('codes', (code) => (code + 2) % 16), 'int4-g16-asym: codes fit the grid'],
    ['a code off the grid', first('codes', () => 200), 'int4-g16-asym: codes fit the grid'],
    ['a scale that is not a number', first('scales', () => Number.NaN), 'int8-channel-sym: codes fit the grid'],
    ['an off-centre symmetric grid', { change: ({ zeroPoints }) => void zeroPoints.data.fill(3 as never) }, 'int8-channel-sym: codes fit'],
    ['zeros that move', { change: ({ codes }) => void codes.data.fill(1 as never) }, 'zero weights stay zero'],
    ['chance', first('scales', (scale) => scale * (1 + 1e-6 * Math.random())), 'results are the same bytes'],
    ['unchecked weights', { skipCheck: true }, 'NaN and infinite weights are refused'],
    ['unchecked group sizes', { skipCheck: true }, 'a group size that does not divide'],
    ['an ignored signal', { ignoreSignal: true }, 'a signal that has fired cancels'],
    ['a signal ignored on the way', { ignoreSignal: true }, 'a signal that fires on the way'],
    ['a leaked buffer', { leak: true }, 'odd sizes work'],
    ['options that swallow anything', { looseOptions: true }, 'describes itself'],
  ])('finds %s', async (_, faults, test) => {
    expect(await failures(faults)).toContainEqual(expect.stringContaining(test));
  });

  it('finds a weight that was changed', async () => {
    const tests = new Map<string, () => void | Promise<void>>();
    const changing = (): Quantizer<object> => ({
      ...quantizerWith({}),
      quantize: async (layer, options, context) => {
        const result = await quantizerWith({}).quantize(layer, options, context);
        changed = true;
        return result;
      },
    });
    let changed = false;
    testQuantizer(changing, {
      describe: (_, body) => body(),
      it: (name, body) => void tests.set(name, body),
      expect,
      createBackend: async () => {
        const backend = createReferenceBackend();
        changed = false;
        const download: typeof backend.download = async (handle) => {
          const value = await backend.download(handle);
          if (changed) value.data[0] = 17;
          return value;
        };
        return { ...backend, download };
      },
    });
    await expect(tests.get('zero weights stay zero')?.()).rejects.toThrow();
  });

  it('refuses to leave out a test that it does not have', async () => {
    const tests = new Map<string, () => void | Promise<void>>();
    testQuantizer(() => quantizerWith({}), {
      describe: (_, body) => body(),
      it: (name, body) => void tests.set(name, body),
      expect,
      createBackend: async () => createReferenceBackend(),
      skip: [{ reason: 'it is slow', tests: ['odd sizes work', 'no such test'] }],
    });
    expect(tests.has('odd sizes work')).toBe(false);
    expect(tests.get('leaves out "odd sizes work": it is slow')).not.toThrow();
    expect(tests.get('leaves out "no such test": it is slow')).toThrow();
  });
});
