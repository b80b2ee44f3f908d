import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Checkpoint, type Tensor, tensor } from '@calibrant/core';
import { memoryCheckpoint, readSafetensors } from './safetensors-checkpoint.js';

export const fixtureFolder = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

function fnv1a32(text: string): number {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
  return hash;
}

/** Element i is `base + (u − 0.5) · 2 · scale` with u from murmur3's finalizer of `i + fnv1a32(name) + seed · 0x9E3779B1`. */
export function formulaTensor(name: string, shape: number[], base: number, scale: number, seed: number): Tensor {
  const start = (fnv1a32(name) + Math.imul(seed, 0x9e3779b1)) >>> 0;
  const out = tensor('f32', shape);
  for (let i = 0; i < out.data.length; i++) {
    let x = (i + start) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b) >>> 0;
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35) >>> 0;
    x = (x ^ (x >>> 16)) >>> 0;
    out.data[i] = base + (x / 2 ** 32 - 0.5) * 2 * scale;
  }
  return out;
}

/** A model whose weights are a formula; its logits were computed by transformers 5.17 in float32 (seed 1). */
export function goldenModel(
  name: string,
  seed = 1,
): { checkpoint: Checkpoint; weights: Map<string, Tensor>; reference: Map<string, Tensor> } {
  const read = (file: string) => JSON.parse(readFileSync(`${fixtureFolder(name)}/${file}`, 'utf8'));
  const kept = made.get(`${name} ${seed}`) ?? {
    weights: new Map<string, Tensor>(
      read('tensors.json').map((of: FormulaSpec) => [of.name, formulaTensor(of.name, of.shape, of.base, of.scale, seed)]),
    ),
    reference: readSafetensors(`${fixtureFolder(name)}/reference.safetensors`),
  };
  made.set(`${name} ${seed}`, kept);
  const weights = new Map(kept.weights);
  return { checkpoint: memoryCheckpoint(name, read('config.json'), weights), weights, reference: kept.reference };
}

interface FormulaSpec {
  readonly name: string;
  readonly shape: number[];
  readonly base: number;
  readonly scale: number;
}

/** What was computed before, by name and seed: many tests change the config alone. */
const made = new Map<string, { weights: Map<string, Tensor>; reference: Map<string, Tensor> }>();
