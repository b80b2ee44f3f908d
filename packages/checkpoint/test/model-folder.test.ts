import { mkdir, open, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createShardedWriter, openModelFolder, outputFolder } from '@calibrant/checkpoint';
import { CalibrantError, tensor, toF32 } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { safetensorsBytes } from './safetensors-bytes.js';
import { temporaryFolder } from './temporary-folder.js';

/** Two shards: a [4, 2] and b [2, 2], bf16. */
async function shardedModel(): Promise<string> {
  const path = await temporaryFolder();
  const folder = outputFolder(path);
  const specs = [
    { name: 'a', dtype: 'bf16' as const, shape: [4, 2] },
    { name: 'b', dtype: 'bf16' as const, shape: [2, 2] },
  ];
  const writer = await createShardedWriter(folder, specs, { maxShardBytes: 16 });
  await writer.write('a', tensor('bf16', [4, 2], Uint16Array.of(0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0, 0x4100)));
  await writer.write('b', tensor('bf16', [2, 2], Uint16Array.of(0, 0x8000, 0x7f80, 0x7fc1)));
  await writer.finish();
  await folder.writeText('config.json', '{"model_type":"llama"}');
  await folder.writeText('tokenizer.json', '{"ü":1}');
  return path;
}

const FIRST = 'model-00001-of-00002.safetensors';
const SECOND = 'model-00002-of-00002.safetensors';
const refusal = async (path: string): Promise<CalibrantError> => {
  const error = await openModelFolder(path).then(
    (model) => model.close(),
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(CalibrantError);
  return error as CalibrantError;
};

describe('openModelFolder', () => {
  it('lists tensors of all shards and reads them, or some of their rows, in the stored type', async () => {
    const model = await openModelFolder(await shardedModel());
    expect([...model.tensors.values()]).toEqual([
      { name: 'a', dtype: 'bf16', shape: [4, 2], bytes: 16, file: FIRST },
      { name: 'b', dtype: 'bf16', shape: [2, 2], bytes: 8, file: SECOND },
    ]);
    const rows = await model.read('a', { start: 1, end: 3 });
    expect(rows.shape).toEqual([2, 2]);
    expect([...toF32(rows)]).toEqual([3, 4, 5, 6]);
    expect([...((await model.read('b')).data as Uint16Array)]).toEqual([0, 0x8000, 0x7f80, 0x7fc1]);
    await expect(model.read('a', { start: 3, end: 5 })).rejects.toMatchObject({ code: 'SHAPE_MISMATCH' });
    await expect(model.read('c')).rejects.toMatchObject({ code: 'NOT_FOUND', details: { tensor: 'c' } });
    await model.close();
  });

  it('gives the config and side files, and nothing outside the folder', async () => {
    const path = await shardedModel();
    await writeFile(join(path, 'tokenizer.model'), Uint8Array.of(0xff, 0xfe));
    const model = await openModelFolder(path);
    expect(model.config).toEqual({ model_type: 'llama' });
    expect(model.files).toEqual(['config.json', 'tokenizer.json', 'tokenizer.model']);
    expect(await model.text('tokenizer.json')).toBe('{"ü":1}');
    expect(await model.bytes('tokenizer.model')).toEqual(Uint8Array.of(0xff, 0xfe));
    await expect(model.text('tokenizer.model')).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
    expect(await model.text('chat_template.jinja')).toBeUndefined();
    expect(await model.text('../../../etc/passwd')).toBeUndefined();
    expect(await model.text(FIRST)).toBeUndefined();
    await model.close();
  });

  it('finds a shard that is cut off when the folder is opened, with both sizes', async () => {
    const path = await shardedModel();
    const handle = await open(join(path, SECOND));
    const { size } = await handle.stat();
    await handle.close();
    await truncate(join(path, SECOND), size - 3);
    const error = await refusal(path);
    expect(error.code).toBe('CORRUPT_FILE');
    expect(error.message).toContain(`${join(path, SECOND)} is cut off`);
    expect(error.message).toContain(`${size} bytes, but it has ${size - 3}`);
  });

  it('says what is missing and what to do', async () => {
    const missing = await refusal('/no/such/model');
    expect(missing).toMatchObject({ code: 'NOT_FOUND', details: { file: '/no/such/model' } });
    expect(missing.message).toMatch(/hf:organisation\/name/);

    const path = await temporaryFolder();
    expect(await refusal(path)).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/no config.json/) });
    await writeFile(join(path, 'config.json'), '{}');
    expect(await refusal(join(path, 'config.json'))).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await refusal(path)).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/holds no weights/) });
    await writeFile(join(path, 'model.gguf'), 'GGUF');
    expect(await refusal(path)).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringMatching(/open model.gguf itself/) });
    await writeFile(join(path, 'pytorch_model.bin'), '');
    expect(await refusal(path)).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringMatching(/pickle.*save_pretrained/) });
    await writeFile(join(path, FIRST), '');
    expect(await refusal(path)).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/Add the index/) });
  });

  it.each([
    ['{"model_type":', /not valid JSON/],
    ['[]', /must hold a JSON object/],
  ])('refuses the config %s', async (config, message) => {
    const path = await shardedModel();
    await writeFile(join(path, 'config.json'), config);
    expect(await refusal(path)).toMatchObject({ code: 'CORRUPT_FILE', message: expect.stringMatching(message) });
  });

  it('names a shard that the index promises and the folder lacks', async () => {
    const path = await shardedModel();
    await rm(join(path, SECOND));
    expect(await refusal(path)).toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringMatching(/1 of 2 shards .* missing: model-00002/),
    });
  });

  it.each([
    ['no shard holds a promised tensor', { a: FIRST, b: SECOND, c: SECOND }, /"c" should be in .* no shard holds it/],
    ['a tensor is in another shard', { a: FIRST, b: FIRST, x: SECOND }, /"b" should be in model-00001.* is in model-00002|"x" should be/],
    ['a tensor is not in the index', { a: FIRST, z: SECOND }, /"z" should be|does not name it/],
    ['a path leads out of the folder', { a: `../${FIRST}` }, /"a" is said to be in "..\/model/],
    ['a path is absolute', { a: '/etc/model.safetensors' }, /same folder/],
    ['a path is a Windows drive', { a: 'C:model.safetensors' }, /same folder/],
    ['a path uses backslashes', { a: '..\\model.safetensors' }, /same folder/],
    ['the file is no safetensors file', { a: 'config.json' }, /same folder/],
    ['the map is empty', {}, /empty/],
    ['a value is no name', { a: 7 }, /weight_map/],
  ])('refuses an index where %s', async (_, weightMap, message) => {
    const path = await shardedModel();
    await writeFile(join(path, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
    expect(await refusal(path)).toMatchObject({ code: 'CORRUPT_FILE', message: expect.stringMatching(message) });
  });

  it('refuses a tensor that is in the wrong shard or that the index leaves out', async () => {
    const path = await shardedModel();
    const index = join(path, 'model.safetensors.index.json');
    await writeFile(index, JSON.stringify({ weight_map: { a: SECOND, b: FIRST } }));
    expect((await refusal(path)).message).toMatch(/tensor "a" should be in model-00002.* but is in model-00001/);
    await writeFile(join(path, 'extra.safetensors'), safetensorsBytes({ b: { dtype: 'U8', shape: [1], data_offsets: [0, 1] } }, 1));
    await writeFile(index, JSON.stringify({ weight_map: { a: FIRST, b: 'extra.safetensors' } }));
    const model = await openModelFolder(path);
    expect(model.tensors.get('b')?.dtype).toBe('u8');
    await model.close();
    await writeFile(index, `{"weight_map":{"a":"${FIRST}","a":"${SECOND}"}}`);
    expect((await refusal(path)).message).toMatch(/"a" twice/);
    await writeFile(
      join(path, FIRST),
      safetensorsBytes({ a: { dtype: 'U8', shape: [1], data_offsets: [0, 1] }, b: { dtype: 'U8', shape: [1], data_offsets: [1, 2] } }, 2),
    );
    await writeFile(index, JSON.stringify({ weight_map: { a: FIRST, b: SECOND } }));
    expect((await refusal(path)).message).toMatch(/"b" is in two shards/);
    await rm(index);
    await symlink(FIRST, join(path, 'model.safetensors'));
    const single = await openModelFolder(path);
    expect([...single.tensors.keys()]).toEqual(['a', 'b']);
    await single.close();
  });

  it('does not read a sparse tensor of 4 GB to give two of its rows', async () => {
    const path = await temporaryFolder();
    await writeFile(join(path, 'config.json'), '{}');
    const [rowCount, width] = [2 ** 20, 1024];
    const header = safetensorsBytes({ w: { dtype: 'F32', shape: [rowCount, width], data_offsets: [0, rowCount * width * 4] } });
    const file = join(path, 'model.safetensors');
    const handle = await open(file, 'w');
    await handle.write(header, 0, header.length, 0);
    const lastRow = Float32Array.from({ length: width }, (_, i) => i);
    await handle.write(new Uint8Array(lastRow.buffer), 0, width * 4, header.length + (rowCount - 1) * width * 4);
    await handle.close();

    const model = await openModelFolder(path);
    const before = process.memoryUsage();
    const read = await model.read('w', { start: rowCount - 2, end: rowCount });
    const after = process.memoryUsage();
    expect(read.shape).toEqual([2, width]);
    expect([...toF32(read)].slice(width - 1, width + 3)).toEqual([0, 0, 1, 2]);
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(1e6);
    await model.close();
  });

  it('ignores folders that are called like side files', async () => {
    const path = await shardedModel();
    await mkdir(join(path, 'original.json'));
    const model = await openModelFolder(path);
    expect(await model.text('original.json')).toBeUndefined();
    await model.close();
  });
});
