import { type Backend, CalibrantError, defineKernel, rope, tensor } from '@calibrant/core';
import { testBackend } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';
import { wasmModule } from '../src/generated/wasm.js';
import { createLaneBackend } from '../src/lane-backend.js';
import { LAYOUT_OPERATIONS } from '../src/layout-operations.js';
import { inProcessLane } from './in-process-lane.js';

function create(lanes: number): Backend {
  const natives = new Set(Object.keys(LAYOUT_OPERATIONS));
  return createLaneBackend({ name: 'in-process', description: 'lanes in this thread', lanes, natives, start: inProcessLane });
}

describe('a backend of lanes without workers', () => testBackend(({ lanes }) => create(lanes), { describe, it, expect }));

/** A plug-in's kernel, with this package's own module in the part of the plug-in's. */
const plugin = (name: string, exported: string) =>
  defineKernel<'x' | 'weight', 'y', Record<string, never>>({
    name,
    inputs: { x: { role: 'rows' }, weight: { role: 'whole' } },
    outputs: { y: { role: 'rows' } },
    chunkRows: () => 4,
    infer: ({ x }) => ({ y: x }),
    reference: () => {
      throw new Error('The WebAssembly variant should have run.');
    },
    wasm: {
      module: { ...wasmModule, id: `plugin:${name}` },
      function: exported,
      scalars: ({ x, weight }) => [x!.shape[1], weight!.shape[0], 0, 0],
    },
  });

describe("a plug-in's WebAssembly kernel", () => {
  const norm = plugin('plugin.norm', 'rmsNorm');
  const x = tensor(
    'f32',
    [11, 2],
    Float32Array.from({ length: 22 }, (_, i) => (i % 2 === 0 ? 3 : -4)),
  );
  const weight = tensor('f32', [2], Float32Array.of(1, 2));
  const row = [3, -8].map((value) => value / Math.sqrt(12.5));

  it('runs in chunks of its rows, on lanes and on shared buffers', async () => {
    const backend = create(2);
    expect(backend.variant(norm as never)).toBe('wasm');
    for (const lane of [undefined, 1]) {
      const inputs = { x: await backend.upload(x, { lane }), weight: await backend.upload(weight, { lane }) };
      const { data } = await backend.download(backend.run(norm, inputs, {}).y);
      for (let i = 0; i < 22; i++) expect(data[i]).toBeCloseTo(row[i % 2], 5);
    }
    await backend.close();
  });

  it('sees other whole operands in the next call', async () => {
    const backend = create(1);
    const shared = await backend.upload(x);
    for (const factor of [1, -2, 5]) {
      const other = await backend.upload(tensor('f32', [2], Float32Array.of(factor, factor)));
      const { data } = await backend.download(backend.run(norm, { x: shared, weight: other }, {}).y);
      expect(data[0]).toBeCloseTo((factor * 3) / Math.sqrt(12.5), 5);
      backend.free(other);
    }
    await backend.close();
  });

  it('that names a function which the module lacks fails with the names of both', async () => {
    const backend = create(1);
    const inputs = { x: await backend.upload(x), weight: await backend.upload(weight) };
    const failing = backend.download(backend.run(plugin('plugin.absent', 'absent'), inputs, {}).y);
    await expect(failing).rejects.toThrow('The WebAssembly module plugin:plugin.absent exports no function absent.');
    await backend.close();
  });
});

describe('an index that points outside', () => {
  it('fails the operation and names it', async () => {
    const backend = create(1);
    const table = await backend.upload(tensor('f32', [3, 1]));
    const x = await backend.upload(tensor('f32', [1, 2]));
    for (const position of [3, -1]) {
      const positions = await backend.upload(tensor('i32', [1], Int32Array.of(position)));
      const { y } = backend.run(rope, { x, positions, cos: table, sin: table }, { headDim: 2, style: 'half' });
      await expect(backend.download(y)).rejects.toThrow('core.rope: an index among the inputs is out of range.');
    }
    await backend.close();
  });
});

describe('freed buffers', () => {
  it('may be freed while their download is under way', async () => {
    const backend = create(2);
    const big = tensor('f32', [300, 300], new Float32Array(90000).fill(7));
    for (const lane of [undefined, 0]) {
      const handle = await backend.upload(big, { lane });
      const pending = backend.download(handle);
      backend.free(handle);
      const next = await backend.upload(tensor('f32', [300, 300]), { lane });
      expect((await pending).data[89999]).toBe(7);
      expect((await backend.download(next)).data[0]).toBe(0);
    }
    await backend.close();
  });

  it('of a closed backend are an error', async () => {
    const backend = create(1);
    const handle = await backend.upload(tensor('f32', [1]));
    await backend.close();
    const error = await backend.download(handle).catch((thrown) => thrown);
    expect(CalibrantError.isInstance(error) && error.message).toBe('The backend in-process was closed.');
  });
});
