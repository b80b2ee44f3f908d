import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { awq } from '@calibrant/awq';
import { calibrators } from '@calibrant/calibrators';
import { compressedTensors } from '@calibrant/compressed-tensors';
import { createRegistry, type Registry } from '@calibrant/core';
import { ggufFormat, ggufSchemes } from '@calibrant/gguf-format';
import { gptq } from '@calibrant/gptq';
import { rtn } from '@calibrant/rtn';
import { smoothquant } from '@calibrant/smoothquant';
import { modelFolder } from '@calibrant/tiny-llama';
import { architectures } from '@calibrant/transformer';

export function testRegistry(): Registry {
  return createRegistry([
    architectures,
    rtn(),
    gptq(),
    smoothquant(),
    awq(),
    calibrators(),
    ggufSchemes(),
    ggufFormat(),
    compressedTensors(),
  ]);
}

/** A folder of its own for each test, removed by `clean`. */
export async function scratchFolder(): Promise<{ path: (name: string) => string; clean: () => Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'calibrant-pipeline-'));
  return { path: (name) => path.join(folder, name), clean: () => rm(folder, { recursive: true, force: true }) };
}

/** A copy of the embedded model that a test may damage. */
export async function copyModel(to: string): Promise<void> {
  await cp(modelFolder, to, { recursive: true });
}

/** Writes zeros over a tensor of a safetensors file. */
export async function zeroTensor(file: string, name: string): Promise<void> {
  await overwriteTensor(file, name, 0);
}

/** Writes a 16-bit pattern (or zeros) over the first values of a tensor of a safetensors file, all unless told. */
export async function overwriteTensor(file: string, name: string, pattern: number, count = Infinity): Promise<void> {
  const bytes = await readFile(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const [from, to] = JSON.parse(bytes.toString('utf8', 8, start))[name].data_offsets as [number, number];
  for (let at = from; at < Math.min(to, from + 2 * count); at += 2) bytes.writeUInt16LE(pattern, start + at);
  await writeFile(file, bytes);
}
