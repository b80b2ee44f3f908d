// Safetensors throughput beside plain file access of the same bytes: node bench/safetensors.mjs [MB]
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createShardedWriter, openModelFolder, outputFolder } from '@calibrant/checkpoint';
import { tensor } from '@calibrant/core';

const megabytes = Number(process.argv[2] ?? 256);
const folder = await mkdtemp(join(tmpdir(), 'calibrant-bench-'));
const ROWS = 2048;
const specs = Array.from({ length: Math.max(1, Math.round(megabytes / 8)) }, (_, i) => ({
  name: `model.layers.${i}.weight`,
  dtype: 'bf16',
  shape: [ROWS, 2048],
}));
const bytes = specs.length * ROWS * 4096;
const timed = async (work) => {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
};
const rate = (seconds) => `${Math.round(bytes / 1e6 / seconds)} MB/s`;
const table = [];
const compare = (what, ours, plain) =>
  table.push({ what, Calibrant: rate(ours), 'plain fs': rate(plain), ratio: (plain / ours).toFixed(2) });

try {
  const value = tensor('bf16', [ROWS, 2048]);
  await writeFile(join(folder, 'config.json'), '{}');
  const written = await timed(async () => {
    const writer = await createShardedWriter(outputFolder(folder), specs);
    for (const { name } of specs) await writer.write(name, value);
    await writer.finish();
  });
  const plainWritten = await timed(async () => {
    const handle = await open(join(folder, 'plain'), 'w');
    for (let i = 0; i < specs.length; i++) await handle.write(new Uint8Array(value.data.buffer));
    await handle.sync();
    await handle.close();
  });
  compare(`write ${Math.round(bytes / 1e6)} MB, synced`, written, plainWritten);

  const model = await openModelFolder(folder);
  const plainRead = async () => {
    const handle = await open(join(folder, 'plain'));
    for (let i = 0; i < specs.length; i++)
      await handle.read(new Uint8Array(value.data.byteLength), 0, value.data.byteLength, i * value.data.byteLength);
    await handle.close();
  };
  const read = async () => {
    for (const { name } of specs) await model.read(name);
  };
  // Once for the page cache.
  await read();
  await plainRead();
  compare('read every tensor', await timed(read), await timed(plainRead));
  await model.close();

  const header = specs.length;
  const opened = await timed(async () => (await openModelFolder(folder)).close());
  const loaded = await timed(() => readFile(join(folder, 'model.safetensors')));
  console.table(table);
  console.log(
    `open a folder of ${header} tensors: ${(opened * 1000).toFixed(1)} ms (reading the whole file: ${(loaded * 1000).toFixed(0)} ms)`,
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}
