import { readFileSync } from 'node:fs';
import type { Tensor } from '@calibrant/core';
import { tensor } from '@calibrant/core';

const folder = new URL('fixtures/ggml/', import.meta.url);

/** Bytes of a fixture on a buffer of their own. */
export function golden(file: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(file, folder)));
}

export function goldenFloats(file: string): Float32Array {
  return new Float32Array(golden(file).slice().buffer);
}

export const [ROWS, COLUMNS] = [12, 1024];
export const input = (): Tensor => tensor('f32', [ROWS, COLUMNS], goldenFloats('input.f32'));
export const importance = (): Tensor => tensor('f32', [COLUMNS], goldenFloats('imatrix.f32'));

/** The fixture's name of a type: `q4_K`, `f16`. */
export function fixtureName(type: string): string {
  return type.toLowerCase().replace('_k', '_K');
}
