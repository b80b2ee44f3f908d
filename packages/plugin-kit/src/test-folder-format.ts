import {
  type AffineScheme,
  type AffineTensor,
  affineValues,
  type Backend,
  type Checkpoint,
  type Format,
  type PlannedTensor,
  parseAffineScheme,
  parseOptions,
  tensor,
} from '@calibrant/core';
import { formatInput, type MemoryFolder, memoryCheckpoint, memoryFolder, writtenCheckpoint } from './memory-model.js';
import { codedRows, randomLayer } from './random-layer.js';
import type { TestFramework } from './test-framework.js';

export interface FormatSuite extends TestFramework {
  /** A backend; the suite closes it. */
  readonly createBackend: () => Promise<Backend>;
  /** Names of the integer grids that the format holds. */
  readonly schemes: readonly string[];
  /** Names of grids that it must refuse. */
  readonly refused?: readonly string[];
  readonly options?: Readonly<Record<string, unknown>>;
  /** Size of the layer, `[out, in]`; `[64, 96]` if absent. Groups of the schemes must divide it. */
  readonly shape?: readonly [number, number];
}

const NAME = 'model.layers.0.mlp.up_proj.weight';

/**
 * The conformance suite of formats that store a model as a folder with safetensors: what was written is read back code by code, whole and in parts, with the
 * values that the codes stand for; the same bytes however the rows come; inputs are not changed.
 *
 * @example
 * testFolderFormat(() => myFormat(), { describe, it, expect, createBackend: async () => createReferenceBackend(), schemes: ['int4-g32-sym'] });
 */
export function testFolderFormat(factory: () => Format<any>, suite: FormatSuite): void {
  const { describe, it, expect, createBackend, schemes, refused = [], shape = [64, 96] } = suite;
  const format = factory();
  let shared: Promise<Backend> | undefined;
  const openBackend = () => {
    shared ??= createBackend();
    return shared;
  };
  const options = parseOptions(format.options, suite.options ?? {}, format.name);

  async function written(layer: AffineTensor, cuts: readonly number[] = []): Promise<MemoryFolder> {
    const backend = await openBackend();
    const norm = tensor('bf16', [4], Uint16Array.of(1, 2, 3, 4));
    const source = new Map([
      [NAME, tensor('bf16', layer.shape)],
      ['model.norm.weight', norm],
    ]);
    const input = formatInput(memoryCheckpoint(source, { torch_dtype: 'bfloat16' }), [NAME]);
    const outputs = await format.outputs(input, options);
    const plan = outputs.map(
      (output): PlannedTensor => ({
        ...output,
        scheme: output.name === NAME ? layer.scheme : format.floatScheme(output, input.facts, options),
      }),
    );
    const folder = memoryFolder();
    const writer = await format.open(input, plan, folder, options, { backend });
    for (const planned of plan) {
      const ends = [...cuts, layer.shape[0]];
      if (planned.name === NAME)
        for (const [i, end] of ends.entries())
          await writer.write(planned, { rowStart: ends[i - 1] ?? 0, value: codedRows(layer, ends[i - 1] ?? 0, end) });
      else if (planned.scheme.kind === 'float')
        await writer.write(planned, { rowStart: 0, value: { kind: 'float', scheme: planned.scheme, shape: [4], tensor: norm } });
    }
    await writer.finish();
    return folder;
  }

  async function reading<Result>(folder: MemoryFolder, body: (checkpoint: Checkpoint) => Promise<Result>): Promise<Result> {
    const backend = await openBackend();
    const checkpoint = await format.reader?.openFolder?.(writtenCheckpoint(folder), { backend });
    expect(checkpoint).toBeDefined();
    return await body(checkpoint as Checkpoint);
  }

  describe(`format ${format.name}`, () => {
    for (const name of schemes) {
      const layer = () => randomLayer(parseAffineScheme(name) as AffineScheme, shape);

      it(`${name}: gives back every code, scale, zero point and value, whole and by rows`, async () => {
        expect(format.accepts(layer().scheme)).toBe(true);
        const folder = await written(layer());
        await reading(folder, async (checkpoint) => {
          const info = checkpoint.tensors.get(NAME);
          expect([info?.dtype, info?.shape]).toEqual(['f32', shape]);
          for (const [start, end] of [
            [0, shape[0]],
            [3, 17],
            [40, 41],
          ]) {
            const range = { start, end };
            const expected = codedRows(layer(), start, end);
            const { codes, scales, zeroPoints } = await codesOf(checkpoint, range);
            expect([hex(codes), hex(scales.data), hex(zeroPoints.data)]).toEqual(
              [expected.codes, expected.scales.data, expected.zeroPoints.data].map(hex),
            );
            expect([scales.shape, zeroPoints.shape]).toEqual([expected.scales.shape, expected.scales.shape]);
            expect(hex((await checkpoint.read(NAME, range)).data)).toBe(hex(affineValues(expected).data));
          }
          expect(hex((await checkpoint.read(NAME)).data)).toBe(hex(affineValues(layer()).data));
          expect([...(await checkpoint.read('model.norm.weight')).data]).toEqual([1, 2, 3, 4]);
          expect([...checkpoint.tensors.keys()].sort()).toEqual([NAME, 'model.norm.weight']);
        });
      });

      it(`${name}: writes the same bytes when rows come in pieces, and changes nothing that it is given`, async () => {
        const given = layer();
        const whole = await written(given);
        expect([given.codes, given.scales.data, given.zeroPoints.data].map(hex)).toEqual(
          [layer().codes, layer().scales.data, layer().zeroPoints.data].map(hex),
        );
        const bytes = ({ files }: MemoryFolder) => [...files].map(([file, content]) => [file, hex(content)]);
        expect(bytes(await written(layer(), [8, 24]))).toEqual(bytes(whole));
        expect(bytes(await written(layer(), [1, 5, 6]))).toEqual(bytes(whole));
      });
    }

    for (const name of refused)
      it(`${name}: is refused with a reason`, () => {
        expect(format.accepts(parseAffineScheme(name) as AffineScheme)).toMatch(/\w+ .*\./);
      });

    it('leaves other folders to others, and no buffers behind', async () => {
      const backend = await openBackend();
      const plain = memoryCheckpoint(new Map([[NAME, tensor('f32', shape)]]), { model_type: 'llama' });
      expect(await format.reader?.openFolder?.(plain, { backend })).toBeUndefined();
      expect(backend.allocatedBytes()).toBe(0);
      await backend.close();
    });
  });
}

/** For comparisons: matchers of test runners go through arrays one element at a time. */
function hex({
  buffer,
  byteOffset,
  byteLength,
}: ArrayBufferView | { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }): string {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString('hex');
}

async function codesOf(checkpoint: Checkpoint, range: { readonly start: number; readonly end: number }): Promise<AffineTensor> {
  const coded = await checkpoint.readCoded?.(NAME, range);
  if (coded?.kind !== 'affine') throw new Error(`no codes on an integer grid, but ${coded?.kind}`);
  return coded;
}
