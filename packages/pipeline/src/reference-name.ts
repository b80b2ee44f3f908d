import path from 'node:path';

/** The last part of a path that says something, without the ending of a text or a GGUF file: `tiny-llama` of `packages/tiny-llama/model`. */
export function referenceName(reference: string): string {
  const absolute = path.resolve(reference);
  const name = path.basename(absolute).replace(/\.(txt|md|gguf)$/, '');
  const parent = path.basename(path.dirname(absolute));
  return name === 'model' && parent !== '' ? parent : name;
}
