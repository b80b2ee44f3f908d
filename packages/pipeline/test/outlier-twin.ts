import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { decodeOne, encodeOne } from '@calibrant/core';
import { copyModel } from './fixture.js';

/** A power of two, so that the twin computes the same function to the last bit. */
const FACTOR = 64;
const CHANNELS = [7, 77, 177];

/** The embedded model with three outlier channels at the inputs of attention and MLP: norm weights times 64, the columns that read them divided by it. */
export async function writeOutlierTwin(folder: string): Promise<void> {
  await copyModel(folder);
  const file = path.join(folder, 'model.safetensors');
  const bytes = await readFile(file);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
    const reads = /(q|k|v|gate|up)_proj\.weight$/.test(name);
    if (!reads && !/layers\.\d+\..*layernorm\.weight$/.test(name)) continue;
    const columns = shape.at(-1)!;
    for (let row = 0; row < (reads ? shape[0] : 1); row++)
      for (const channel of CHANNELS) {
        const at = 8 + headerBytes + offsets[0] + (row * columns + channel) * (dtype === 'F32' ? 4 : 2);
        const factor = reads ? 1 / FACTOR : FACTOR;
        if (dtype === 'F32') bytes.writeFloatLE(bytes.readFloatLE(at) * factor, at);
        else bytes.writeUInt16LE(encodeOne('bf16', decodeOne('bf16', bytes.readUInt16LE(at)) * factor), at);
      }
  }
  await writeFile(file, bytes);
}
