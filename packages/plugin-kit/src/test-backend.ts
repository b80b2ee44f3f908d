import { type Backend, type BufferHandle, splitRows, type Tensor } from '@calibrant/core';
import type { BackendCase } from './backend-case.js';
import { activationCases } from './backend-cases-activations.js';
import { denseCases } from './backend-cases-dense.js';
import { rowCases } from './backend-cases-rows.js';
import { scalingCases } from './backend-cases-scaling.js';
import { contractTests } from './backend-contract.js';
import { type Skip, skippable, type TestFramework } from './test-framework.js';

export interface TestBackendOptions {
  /** Allowed difference by kernel name (`core.softmax`), relative to the largest magnitude of the reference output, where the table's own is too strict. */
  readonly tolerances?: Readonly<Record<string, number>>;
  readonly skip?: readonly Skip[];
}

/**
 * Makes a backend under test. `lanes` is how many lanes the test would like; a backend that has a fixed number ignores it.
 */
export type BackendFactory = (options: { readonly lanes: number }) => Backend | Promise<Backend>;

/**
 * The conformance suite of backends: every core operation against its plain reference, on shared buffers and on lane buffers,
 * and the rules of the contract (lanes, share, free, poisoned outputs, sync, errors, determinism, accounting).
 *
 * @example
 * import { describe, expect, it } from '@jest/globals';
 * testBackend(({ lanes }) => createCpuBackend({ threads: lanes }), { describe, it, expect });
 */
export function testBackend(createBackend: BackendFactory, framework: TestFramework, options: TestBackendOptions = {}): void {
  const { describe, it, expect } = framework;
  const { test, finish } = skippable(framework, options.skip ?? []);
  describe('operations equal their references', () => {
    let backend: Promise<Backend> | undefined;
    const shared = () => (backend ??= Promise.resolve(createBackend({ lanes: 2 })));
    for (const item of [...denseCases(), ...rowCases(), ...activationCases(), ...scalingCases()])
      test(item.name, async () => {
        const limit = options.tolerances?.[item.kernel.name] ?? item.tolerance;
        const expected = reference(item);
        for (const lane of [undefined, 0])
          expect(differences(item, expected, await execute(await shared(), item, lane), limit)).toEqual([]);
      });
    it('every buffer was released', async () => {
      const used = await shared();
      const bytes = used.allocatedBytes();
      await used.close();
      expect(bytes).toBe(0);
    });
  });
  describe('the contract', () => contractTests(createBackend, framework, test));
  if (options.skip?.length) describe('left out', finish);
}

function reference({ kernel, inputs, attributes }: BackendCase): Record<string, Tensor> {
  return kernel.reference(inputs, attributes, { start: 0, end: splitRows(kernel, inputs) ?? 0 });
}

async function execute(
  backend: Backend,
  { kernel, inputs, attributes }: BackendCase,
  lane: number | undefined,
): Promise<Record<string, Tensor>> {
  const uploaded: Record<string, BufferHandle> = {};
  for (const [name, value] of Object.entries(inputs)) if (value) uploaded[name] = await backend.upload(value, { lane });
  const outputs = backend.run(kernel, uploaded, attributes);
  const results: Record<string, Tensor> = {};
  for (const [name, output] of Object.entries(outputs)) results[name] = await backend.download(output);
  backend.free(...Object.values(uploaded), ...Object.values(outputs));
  return results;
}

/** Sentences about the first element of each output that is too far off. */
function differences(
  { defined }: BackendCase,
  expected: Record<string, Tensor>,
  actual: Record<string, Tensor>,
  limit: number | 'exact',
): string[] {
  const found: string[] = [];
  for (const [name, want] of Object.entries(expected)) {
    const have = actual[name];
    if (have.dtype !== want.dtype || have.shape.join() !== want.shape.join()) {
      found.push(`${name}: ${have.dtype} [${have.shape}] instead of ${want.dtype} [${want.shape}]`);
      continue;
    }
    const columns = want.shape.at(-1) ?? 1;
    // The rule about defined elements is about matrices: a status such as `info [1]` always is.
    const counts = (i: number) => !defined || want.shape.length < 2 || defined(Math.floor(i / columns), i % columns);
    const values = want.data as Float32Array;
    const magnitude = values.reduce((max, value, i) => (counts(i) && Number.isFinite(value) ? Math.max(max, Math.abs(value)) : max), 1e-6);
    const at = values.findIndex((value, i) => counts(i) && !near(have.data[i] as number, value, limit, magnitude));
    if (at >= 0) found.push(`${name}[${at}]: ${have.data[at]} instead of ${values[at]} (allowed: ${limit}, largest ${magnitude})`);
  }
  return found;
}

function near(have: number, want: number, limit: number | 'exact', magnitude: number): boolean {
  return Object.is(have, want) || (limit !== 'exact' && Math.abs(have - want) <= limit * magnitude);
}
