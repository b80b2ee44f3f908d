import { createHash } from 'node:crypto';
import { cp, open, readFile } from 'node:fs/promises';
import { awqFormat } from '@calibrant/awq-format';
import { createCpuBackend } from '@calibrant/backend-cpu';
import type { AffineTensor, Backend, Registry } from '@calibrant/core';
import { gptqFormat } from '@calibrant/gptq-format';
import { convertModel, openModel, quantizeModel } from '@calibrant/pipeline';
import { parseSafetensors } from '@calibrant/plugin-kit';
import { modelFolder } from '@calibrant/tiny-llama';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scratchFolder, testRegistry } from './fixture.js';

let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let registry: Registry;

beforeAll(async () => {
  backend = await createCpuBackend({ threads: 2 });
  scratch = await scratchFolder();
  registry = testRegistry();
  registry.add(gptqFormat(), awqFormat());
  const quantize = (out: string, scheme: string, format: string) =>
    quantizeModel({ model: modelFolder, out: scratch.path(out), recipe: { scheme, format }, registry, backend });
  await quantize('gptq', 'int4-g64-sym', 'gptq');
  await quantize('awq-asym', 'int4-g64-asym', 'awq');
  await quantize('gptq-8', 'int8-channel-sym', 'gptq');
  await quantize('gptq-3-asym', 'int3-g64-asym', 'gptq');
  await quantize('ct-8-asym', 'int8-g64-asym', 'compressed-tensors');
});

afterAll(async () => {
  await scratch.clean();
  await backend.close();
});

const convert = (from: string, format: string, out: string, more: object = {}) =>
  convertModel({ model: scratch.path(from), format, out: scratch.path(out), registry, backend, ...more });

async function tensorsOf(folder: string): Promise<Record<string, string>> {
  const found = parseSafetensors(await readFile(scratch.path(`${folder}/model.safetensors`)));
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
  return Object.fromEntries(
    [...found]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { data }]) => [name, createHash('sha256').update(bytes(data)).digest('hex')]),
  );
}

describe('codes go over as they are', () => {
  it('from GPTQ to AWQ to compressed-tensors and back: every tensor has the bytes that it began with', async () => {
    const there = await convert('gptq', 'awq', 'a1');
    expect(there.steps).toEqual({ exact: 28, requantized: 0, copied: 10 });
    expect(there.verified).toBe(28);
    await convert('a1', 'compressed-tensors', 'c1');
    const back = await convert('c1', 'gptq', 'g1');
    expect(back.tensors.filter(({ step }) => step === 'exact')[0]).toMatchObject({ from: 'int4-g64-sym', to: 'int4-g64-sym' });
    expect(await tensorsOf('g1')).toEqual(await tensorsOf('gptq'));
  });

  it('from asymmetric AWQ to GPTQ v2 and back', async () => {
    await convert('awq-asym', 'gptq', 'g2');
    const config = JSON.parse(await readFile(scratch.path('g2/config.json'), 'utf8'));
    expect(config.quantization_config).toMatchObject({ checkpoint_format: 'gptq_v2', sym: false, group_size: 64 });
    await convert('g2', 'awq', 'a2');
    expect(await tensorsOf('a2')).toEqual(await tensorsOf('awq-asym'));
  });

  it('between the versions of GPTQ', async () => {
    await convert('gptq', 'gptq', 'v2', { formatOptions: { version: 'gptq_v2' } });
    expect(await tensorsOf('v2')).not.toEqual(await tensorsOf('gptq'));
    await convert('v2', 'gptq', 'v1');
    expect(await tensorsOf('v1')).toEqual(await tensorsOf('gptq'));
  });

  it.each([
    ['gptq', 'Q4_0'],
    ['gptq-8', 'Q8_0'],
    ['gptq-3-asym', 'Q4_0'],
    ['awq-asym', 'Q5_0'],
  ])('from %s into blocks of %s, with the values of the source', async (from, type) => {
    const result = await convert(from, 'gguf', `gguf-${from}`);
    expect([result.steps.exact, result.verified]).toEqual([28, 28]);
    expect(new Set(result.tensors.filter(({ step }) => step === 'exact').map(({ to }) => to))).toEqual(new Set([type]));
    const [source, written] = [
      await openModel(scratch.path(from), { registry, backend }),
      await openModel(result.files[0], { registry, backend }),
    ];
    const name = 'model.layers.1.self_attn.q_proj.weight'; // its rows are reordered in the file
    expect(Buffer.from(((await written.read(name)).data as Float32Array).buffer)).toEqual(
      Buffer.from(((await source.read(name)).data as Float32Array).buffer),
    );
    await source.close();
    await written.close();
  });
});

describe('what would have to be rounded', () => {
  it('is refused with the tensors and the reason, and nothing is left behind', async () => {
    await expect(convert('ct-8-asym', 'gguf', 'no')).rejects.toThrow(
      /28 tensors such as model\.layers\.0.* \(int8-g64-asym: the format gguf has no place for int8-g64-asym\).*--allow-lossy/,
    );
    await expect(convert('gptq-8', 'awq', 'no')).rejects.toThrow(/AWQ files hold 4 bits, not 8/);
    await expect(openModel(scratch.path('no'), { registry, backend })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is rounded where that was allowed, and each tensor says so', async () => {
    const result = await convert('ct-8-asym', 'gguf', 'lossy', { allowLossy: true });
    expect(result.steps).toEqual({ exact: 0, requantized: 28, copied: 10 });
    expect(result.tensors.find(({ step }) => step === 'requantized')).toMatchObject({
      from: 'int8-g64-asym',
      to: 'Q8_0',
      reason: expect.stringMatching(/no place/),
    });
  });

  it('includes groups that are not contiguous, except where the format can express them', async () => {
    await cp(scratch.path('gptq'), scratch.path('ordered'), { recursive: true });
    const file = scratch.path('ordered/model.safetensors');
    const bytes = await readFile(file);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
    const [start, end] = header['model.layers.0.mlp.up_proj.g_idx'].data_offsets as [number, number];
    const index = Int32Array.from({ length: (end - start) / 4 }, (_, i) => i % 4);
    const handle = await open(file, 'r+');
    await handle.write(Buffer.from(index.buffer), 0, end - start, 8 + length + start);
    await handle.close();
    await expect(convert('ordered', 'awq', 'no')).rejects.toThrow(/1 tensors such as .*up_proj.*act-order.*awq cannot express/);
    await convert('ordered', 'compressed-tensors', 'ordered-ct');
    const written = await openModel(scratch.path('ordered-ct'), { registry, backend });
    const coded = (await written.readCoded?.('model.layers.0.mlp.up_proj.weight')) as AffineTensor | undefined;
    expect(coded?.groupIndex).toEqual(index);
    await written.close();
  });
});

it('a model that is not quantized has nothing to convert', async () => {
  await expect(convertModel({ model: modelFolder, format: 'awq', out: scratch.path('no'), registry, backend })).rejects.toThrow(
    /is not quantized, so there are no codes to convert\. Use calibrant quantize/,
  );
});
