import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModelFolder, outputFolder } from '@calibrant/checkpoint';
import { compressedTensors } from '@calibrant/compressed-tensors';
import {
  type AffineScheme,
  affineTensor,
  affineValues,
  createReferenceBackend,
  fitScheme,
  type PlannedTensor,
  parseAffineScheme,
  parseOptions,
  roundToGrid,
  type Tensor,
  tensor,
  toDtype,
  toF32,
} from '@calibrant/core';
import { formatInput } from '@calibrant/plugin-kit';
import { modelFolder } from '@calibrant/tiny-llama';
import { describe, expect, it } from '@jest/globals';

const format = compressedTensors();
const isQuantized = (name: string) => /^model\.layers\.0\..*_proj\.weight$/.test(name);

describe('the embedded model', () => {
  it.each(['int4-g128-sym', 'int3-g32-asym', 'int8-channel-sym'])(
    'comes back from a folder of several files in %s with its rounded values',
    async (name) => {
      const scheme = parseAffineScheme(name) as AffineScheme;
      const backend = createReferenceBackend();
      const folder = await mkdtemp(join(tmpdir(), 'calibrant-'));
      const source = await openModelFolder(modelFolder);
      try {
        const options = parseOptions(format.options, { maxShardBytes: 3e6 }, 'format');
        const input = formatInput(source, [...source.tensors.keys()].filter(isQuantized));
        const plan: PlannedTensor[] = (await format.outputs(input, options)).map((output) => ({
          ...output,
          scheme: isQuantized(output.name) ? scheme : format.floatScheme(output, input.facts, options),
        }));
        const writer = await format.open(input, plan, outputFolder(folder), options, { backend });
        const expected = new Map<string, Tensor>();
        for (const planned of plan) {
          const value = await source.read(planned.name);
          if (planned.scheme.kind === 'float') {
            await writer.write(planned, {
              rowStart: 0,
              value: { kind: 'float', scheme: planned.scheme, shape: planned.shape, tensor: value },
            });
            expected.set(planned.name, value);
            continue;
          }
          const weight = await backend.upload(toDtype(value, 'f32'));
          const grid = await fitScheme(backend, weight, scheme);
          const [codes, scales, zeroPoints] = await Promise.all(
            [roundToGrid(backend, weight, grid, scheme), grid.scales, grid.zeroPoints].map((handle) => backend.download(handle)),
          );
          const quantized = affineTensor(scheme, { codes, scales, zeroPoints });
          await writer.write(planned, { rowStart: 0, value: quantized });
          const rounded = tensor('f32', scales.shape, toF32(toDtype(scales, 'bf16')));
          expected.set(planned.name, affineValues({ ...quantized, scales: rounded }));
        }
        expect((await writer.finish()).length).toBeGreaterThan(1);

        const written = await openModelFolder(folder);
        const checkpoint = await format.reader?.openFolder?.(written, { backend });
        expect([...(checkpoint?.tensors.keys() ?? [])].sort()).toEqual([...source.tensors.keys()].sort());
        for (const [tensorName, value] of expected) {
          const found = await checkpoint?.read(tensorName);
          expect([found?.dtype, found?.shape]).toEqual([value.dtype, value.shape]);
          expect(Buffer.compare(bytes(found as Tensor), bytes(value))).toBe(0);
        }
        expect(await checkpoint?.text('tokenizer.json')).toBe(await source.text('tokenizer.json'));
        await checkpoint?.close();
      } finally {
        await source.close();
        await rm(folder, { recursive: true });
      }
    },
  );
});

const bytes = ({ data }: Tensor) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
