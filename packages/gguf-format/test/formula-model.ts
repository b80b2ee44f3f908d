import { readFileSync } from 'node:fs';
import { type Checkpoint, type Tensor, tensor } from '@calibrant/core';
import { memoryCheckpoint } from './convert-model.js';
import { sentencePieceTokenizer } from './sentence-piece.js';

/** A model whose weights are a formula of their names, and what transformers computed from it. */
export interface FormulaModel {
  readonly checkpoint: Checkpoint;
  readonly ids: Int32Array;
  readonly vocabulary: number;
  /** Logits of the first and the last four positions, `[4, vocabulary]`. */
  readonly firstLogits: Float32Array;
  readonly lastLogits: Float32Array;
}

/** Reads test/fixtures/architectures. Element i of a tensor is `base + (u − 0.5) · 2 · scale`, u from a hash of i and the name. */
export function formulaModel(name: string): FormulaModel {
  const file = (part: string) => readFileSync(new URL(`fixtures/architectures/${name}/${part}`, import.meta.url));
  const config = JSON.parse(file('config.json').toString());
  const described: { name: string; shape: number[]; base: number; scale: number }[] = JSON.parse(file('tensors.json').toString());
  const tensors =
    made.get(name) ??
    new Map<string, Tensor>(
      described.map((of) => {
        const start = (fnv1a(of.name) + 0x9e3779b1) >>> 0;
        const count = of.shape.reduce((product, size) => product * size, 1);
        const values = new Float32Array(count);
        for (let i = 0; i < count; i++) values[i] = of.base + (finalize((i + start) >>> 0) / 2 ** 32 - 0.5) * 2 * of.scale;
        return [of.name, tensor('f32', of.shape, values)];
      }),
    );
  made.set(name, tensors);
  const bytes = new Uint8Array(file('reference.safetensors'));
  const headerLength = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
  const part = (key: string) => {
    const [from, to] = header[key].data_offsets;
    return bytes.slice(8 + headerLength + from, 8 + headerLength + to).buffer;
  };
  const files = { 'tokenizer.json': JSON.stringify(completed(config.vocab_size)) };
  return {
    checkpoint: memoryCheckpoint(config, tensors, files, name),
    ids: new Int32Array(part('input_ids')),
    vocabulary: config.vocab_size,
    firstLogits: new Float32Array(part('logits_first4')),
    lastLogits: new Float32Array(part('logits_last4')),
  };
}

/** Tensors that were computed before, by the model's name. */
const made = new Map<string, ReadonlyMap<string, Tensor>>();

/** A tokenizer with a token for each id of the model. */
function completed(size: number) {
  const tokenizer = sentencePieceTokenizer();
  const { vocab } = tokenizer.model;
  for (let id = Object.keys(vocab).length; id < size; id++) vocab[String.fromCodePoint(0x4e00 + id)] = id;
  return tokenizer;
}

function fnv1a(text: string): number {
  let hash = 2166136261;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 16777619);
  return hash >>> 0;
}

/** The finalizer of murmur3. */
function finalize(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
