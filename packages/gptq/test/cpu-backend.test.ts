import { createCpuBackend } from '@calibrant/backend-cpu';
import { type AffineTensor, affineValues, createReferenceBackend } from '@calibrant/core';
import { arrange, diagonal, quadraticForm, solveColumns } from '@calibrant/gptq';
import { describe, expect, it } from '@jest/globals';
import { correlatedHessian, normalWeight, quantizeLayer } from './quantize-layer.js';

describe('on the CPU backend', () => {
  it('every kernel runs as WebAssembly', async () => {
    const backend = createCpuBackend({ threads: 1 });
    for (const kernel of [arrange, diagonal, quadraticForm, solveColumns]) expect(backend.variant(kernel as never)).toBe('wasm');
    await backend.close();
  });

  it('GPTQ reaches the error that it reaches on the reference backend, the same bytes with 1, 2 and 3 lanes', async () => {
    const weight = normalWeight(200, 96, 1);
    const hessian = correlatedHessian(96, 300, 2);
    const plain = await quantizeLayer(weight, hessian, 'int3-g32-asym', {}, createReferenceBackend());
    const results: AffineTensor[] = [];
    for (const threads of [1, 2, 3]) {
      const backend = createCpuBackend({ threads });
      const { tensor: result, facts } = await quantizeLayer(weight, hessian, 'int3-g32-asym', {}, backend);
      await backend.close();
      results.push(result);
      // The factor is computed in another order, so single codes next to a tie may differ.
      expect(Math.abs(Number(facts.error) / Number(plain.facts.error) - 1)).toBeLessThan(0.02);
      expect(Math.abs(Number(facts.rtnError) / Number(plain.facts.rtnError) - 1)).toBeLessThan(1e-5);
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
    const [a, b] = [results[0], plain.tensor].map((result) => affineValues(result).data as Float32Array);
    const equal = a.reduce((count, value, at) => count + (Math.abs(value - b[at]) < 1e-4 ? 1 : 0), 0);
    expect(equal / a.length).toBeGreaterThan(0.97);
  });
});
