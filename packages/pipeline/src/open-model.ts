import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { isHttpUrl, openHubModel, openModelFolder, openSource, parseModelReference } from '@calibrant/checkpoint';
import { type Backend, CalibrantError, type Checkpoint, type Registry, type RunOptions } from '@calibrant/core';

export interface OpenModelOptions extends RunOptions {
  readonly registry: Registry;
  readonly backend: Backend;
}

/**
 * Opens a model by what a user types: a folder, a single file (GGUF, or any part of a split one), its
 * URL, or a Hub repository `org/name[@revision]`. Quantized models are
 * read through the format that recognizes them, as f32 under their Hugging Face names.
 *
 * @throws CalibrantError `NOT_FOUND` or `UNSUPPORTED` that says what was looked for.
 */
export async function openModel(reference: string, options: OpenModelOptions): Promise<Checkpoint> {
  if (isHttpUrl(reference) && parseModelReference(reference).kind === 'path') return openFile(reference, options);
  const stats = await stat(reference).catch(() => undefined);
  if (stats?.isFile()) return openFile(reference, options);
  if (stats?.isDirectory()) return openFolder(reference, options);
  const hub = parseModelReference(reference);
  if (hub.kind !== 'hub' || /^(\.{0,2}\/|~)/.test(reference) || path.extname(reference) === '.gguf')
    throw new CalibrantError(
      'NOT_FOUND',
      `There is no file or folder "${reference}". Give the path of a model folder, a GGUF file, or a Hugging Face repository such as org/name.`,
      { file: reference },
    );
  return wrapFolder(await openHubModel(hub.repo, { ...hub, ...options }), options);
}

async function openFile(file: string, { registry, backend, signal }: OpenModelOptions): Promise<Checkpoint> {
  const source = await openSource(file, signal ? { signal } : {});
  try {
    for (const format of registry.list('format')) {
      const opened = await format.reader?.openFile?.(source, { backend });
      if (opened) return opened;
    }
  } catch (error) {
    await source.close();
    throw error;
  }
  await source.close();
  const hint = file.endsWith('.safetensors')
    ? 'For safetensors give the folder that holds it with its config.json.'
    : 'Single-file models are read as GGUF; for safetensors give the folder.';
  throw new CalibrantError('UNSUPPORTED', `No registered format recognizes the file ${file}. ${hint}`, { file });
}

/** A folder with a single GGUF model, in one file or in parts, and no config.json is that model. */
async function openFolder(folder: string, options: OpenModelOptions): Promise<Checkpoint> {
  const gguf = await onlyGguf(folder);
  return gguf ? openFile(gguf, options) : wrapFolder(await openModelFolder(folder), options);
}

async function onlyGguf(folder: string): Promise<string | undefined> {
  const names = await readdir(folder);
  const files = names.filter((name) => name.endsWith('.gguf'));
  const models = new Set(files.map((name) => name.replace(/-\d{5}-of-(\d{5})\.gguf$/, '-of-$1.gguf')));
  return models.size === 1 && !names.includes('config.json') ? path.join(folder, files[0]) : undefined;
}

async function wrapFolder(checkpoint: Checkpoint, { registry, backend }: OpenModelOptions): Promise<Checkpoint> {
  for (const format of registry.list('format')) {
    const opened = await format.reader?.openFolder?.(checkpoint, { backend });
    if (opened) return opened;
  }
  const method = (checkpoint.config.quantization_config as { quant_method?: string } | undefined)?.quant_method;
  if (method)
    throw new CalibrantError(
      'UNSUPPORTED',
      `${checkpoint.name} is already quantized by "${method}", which no registered format reads. Start from the full-precision checkpoint.`,
      { file: checkpoint.name },
    );
  return checkpoint;
}
