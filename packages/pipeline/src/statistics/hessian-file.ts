import { rename, rm } from 'node:fs/promises';
import { createSafetensorsWriter, fileSink, fileSource, readSafetensorsHeader, readSafetensorsTensor } from '@calibrant/checkpoint';
import { CalibrantError, type Tensor, tensor } from '@calibrant/core';
import type { ModelFingerprint } from './fingerprint.js';

/** What `__metadata__` says, so that a file of another kind or version is recognized. */
const HESSIANS_KIND = 'calibrant.hessians.v1';

/** Which model and which calibration tokens Hessians are of. */
export interface HessianOrigin {
  readonly model: ModelFingerprint;
  /** SHA-256 of the tokens. */
  readonly tokens: string | undefined;
}

/** The input of some linear layers. */
export interface HessianInput {
  /** Weights of the layers that read it. */
  readonly names: readonly string[];
  readonly channels: number;
}

export interface HessianFile {
  /** @param name a weight that reads the input; `hessian` f32 `[in, in]`, of which the upper triangle is kept */
  write(name: string, hessian: Tensor): Promise<void>;
  /** Gives the file its name. */
  finish(): Promise<void>;
  /** Removes what was written. */
  abort(): Promise<void>;
}

export interface SavedHessians {
  /** `2/n · Σ x xᵀ` of the input of the layer with this weight, f32 `[in, in]`, zeros below the diagonal. */
  of(name: string): Promise<Tensor>;
  close(): Promise<void>;
}

/** Where the Hessians of statistics lie: beside them, `statistics.hessians.safetensors`. */
export function hessianFileOf(statistics: string): string {
  return statistics.replace(/(\.safetensors)?$/, '.hessians.safetensors');
}

/** Starts a file of Hessians: `LAYER.hessian`, the rows of the upper triangle one after the other. They come one by one and are not kept. */
export async function createHessianFile(file: string, inputs: readonly HessianInput[], origin: HessianOrigin): Promise<HessianFile> {
  const staging = `${file}.${process.pid}.part`;
  const entries = new Map(inputs.flatMap(({ names }) => names.map((name) => [name, entryOf(names[0])] as const)));
  const metadata = {
    format: HESSIANS_KIND,
    model: JSON.stringify(origin.model),
    tokens: origin.tokens ?? '',
    inputs: JSON.stringify(Object.fromEntries(entries)),
  };
  const specs = inputs.map(({ names, channels }) => ({ name: entryOf(names[0]), dtype: 'f32' as const, shape: [triangle(channels)] }));
  const writer = await createSafetensorsWriter(await fileSink(staging), specs, { metadata });
  return {
    async write(name, hessian) {
      const values = packed(hessian);
      await writer.write(entries.get(name) as string, tensor('f32', [values.length], values));
    },
    async finish() {
      await writer.finish();
      await rename(staging, file);
    },
    async abort() {
      await writer.close();
      await rm(staging, { force: true });
    },
  };
}

/**
 * Opens the Hessians beside statistics; undefined where there are none.
 *
 * @throws CalibrantError `CORRUPT_FILE` for a file of another kind, `INVALID_ARGUMENT` for Hessians of another model or of other tokens
 */
export async function openHessians(file: string, origin: HessianOrigin): Promise<SavedHessians | undefined> {
  const source = await fileSource(file).catch((error) => {
    if (CalibrantError.isInstance(error) && error.code === 'NOT_FOUND') return undefined;
    throw error;
  });
  if (!source) return undefined;
  try {
    const { tensors, metadata } = await readSafetensorsHeader(source);
    if (metadata.format !== HESSIANS_KIND)
      throw new CalibrantError('CORRUPT_FILE', `${file} holds no Hessians that this version reads (${HESSIANS_KIND}). ${REMEDY}`, { file });
    if (metadata.model !== JSON.stringify(origin.model) || metadata.tokens !== origin.tokens)
      throw new CalibrantError(
        'INVALID_ARGUMENT',
        `The Hessians ${file} are not of the model and tokens of the statistics beside them. ${REMEDY}`,
        { file },
      );
    const entries = new Map(Object.entries(JSON.parse(metadata.inputs ?? '{}') as Record<string, string>));
    return {
      async of(name) {
        const entry = tensors.get(entries.get(name) ?? '');
        if (!entry) throw new CalibrantError('CORRUPT_FILE', `${file} lacks the Hessian of ${name}. ${REMEDY}`, { file, tensor: name });
        return unpacked((await readSafetensorsTensor(source, entry)).data as Float32Array);
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}

const REMEDY = 'Make it again with calibrant calibrate --hessians, or remove it.';

function entryOf(name: string): string {
  return `${name.replace(/\.weight$/, '')}.hessian`;
}

function triangle(n: number): number {
  return (n * (n + 1)) / 2;
}

function packed({ data, shape: [n] }: Tensor): Float32Array {
  const values = new Float32Array(triangle(n));
  let at = 0;
  for (let row = 0; row < n; row++) {
    values.set((data as Float32Array).subarray(row * n + row, (row + 1) * n), at);
    at += n - row;
  }
  return values;
}

function unpacked(values: Float32Array): Tensor {
  const n = Math.floor((Math.sqrt(8 * values.length + 1) - 1) / 2);
  const whole = tensor('f32', [n, n]);
  let at = 0;
  for (let row = 0; row < n; row++) {
    (whole.data as Float32Array).set(values.subarray(at, at + n - row), row * n + row);
    at += n - row;
  }
  return whole;
}
