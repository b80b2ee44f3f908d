import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { isHttpUrl, openHubModel, openModelFolder, openSource, parseModelReference } from '@calibrant/checkpoint';
import { type Backend, type ByteSource, CalibrantError, type Checkpoint, type Registry, type RunOptions } from '@calibrant/core';

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
  const kind = await referenceKind(reference);
  if (kind === 'file') return openFile(reference, options);
  if (kind === 'folder') return openFolder(reference, options);
  const hub = parseModelReference(reference);
  if (hub.kind !== 'hub' || /^(\.{0,2}\/|~)/.test(reference) || path.extname(reference) === '.gguf')
    throw new CalibrantError(
      'NOT_FOUND',
      `There is no file or folder "${reference}". Give the path of a model folder, a GGUF file, or a Hugging Face repository such as org/name.`,
      { file: reference },
    );
  return wrapFolder(await openHubModel(hub.repo, { ...hub, ...options }), options);
}

/** Whether a reference is a file (or the URL of one), a folder, or neither: then it may name a repository. */
export async function referenceKind(reference: string): Promise<'file' | 'folder' | undefined> {
  if (isHttpUrl(reference) && parseModelReference(reference).kind === 'path') return 'file';
  const stats = await stat(reference).catch(() => undefined);
  return stats?.isFile() ? 'file' : stats?.isDirectory() ? 'folder' : undefined;
}

/** The file that a reference stands for: itself, or the only GGUF model of a folder. */
export async function singleFile(reference: string): Promise<string | undefined> {
  const kind = await referenceKind(reference);
  return kind === 'file' ? reference : kind === 'folder' ? onlyGguf(reference) : undefined;
}

/** @throws CalibrantError `CORRUPT_FILE` for an empty file, such as a download leaves that did not begin. */
export async function openSingleFile(file: string, signal: AbortSignal | undefined): Promise<ByteSource> {
  const source = await openSource(file, signal ? { signal } : {});
  if (source.size > 0) return source;
  await source.close();
  throw new CalibrantError('CORRUPT_FILE', `${file} is empty. Download or copy it again.`, { file });
}

async function openFile(file: string, { registry, ...context }: OpenModelOptions): Promise<Checkpoint> {
  const source = await openSingleFile(file, context.signal);
  try {
    for (const format of registry.list('format')) {
      const opened = await format.reader?.openFile?.(source, context);
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

async function wrapFolder(checkpoint: Checkpoint, { registry, ...context }: OpenModelOptions): Promise<Checkpoint> {
  for (const format of registry.list('format')) {
    const opened = await format.reader?.openFolder?.(checkpoint, context);
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
