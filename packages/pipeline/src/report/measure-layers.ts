import { weightedError } from '@calibrant/calibrators';
import {
  type Backend,
  type BufferHandle,
  type Checkpoint,
  convert,
  linear,
  type RunOptions,
  type ScalingSite,
  throwIfAborted,
  withBuffers,
} from '@calibrant/core';
import type { LinearInfo, Transformer, TransformerBlock } from '@calibrant/transformer';
import { allScalingSites } from '../transform/scaling-sites.js';
import { alignWeights } from './align-weights.js';

export interface MeasureLayersInput extends RunOptions {
  readonly base: Transformer;
  readonly quantized: Transformer;
  /** Text on which outputs are compared. */
  readonly sequences: readonly Int32Array[];
  readonly backend: Backend;
}

export interface MeasuredLayer {
  readonly name: string;
  readonly block?: number;
  readonly role: string;
  readonly scheme: string;
  readonly weightError: number;
  readonly outputError?: number;
}

export interface MeasuredLayers {
  readonly layers: readonly MeasuredLayer[];
  /** `‖ĥ − h‖² / ‖h‖²` of the hidden states behind each block. */
  readonly drift: readonly number[];
}

/** Sums of squared differences and of squares. */
interface Energy {
  error: number;
  norm: number;
}

/**
 * What each linear layer loses: `‖ŵ − w‖² / ‖w‖²` of its weight, and `‖x (ŵ − w)ᵀ‖² / ‖x wᵀ‖²` of its output on what the full-precision model feeds it. And
 * how far the hidden states of the whole quantized model are off behind each block. What a transform scaled is taken back before weights are compared. One block of both models is in
 * memory at a time, the quantized one twice where it was scaled; sums in f64.
 */
export async function measureLayers(input: MeasureLayersInput): Promise<MeasuredLayers> {
  const { base, quantized, sequences, backend, onEvent, signal } = input;
  const layers: MeasuredLayer[] = [];
  const drift: number[] = [];
  const { embedding, head } = base.description;
  layers.push(...(await outsideBlocks(input, embedding.weight.name)));
  const sites = allScalingSites(base.description);
  const states: { base: BufferHandle; quantized: BufferHandle }[] = [];
  try {
    for (const ids of sequences) states.push({ base: await base.embed(ids), quantized: await quantized.embed(ids) });
    for (let index = 0; index < base.blockCount; index++) {
      throwIfAborted(signal);
      onEvent?.({ phase: 'Comparing layers', done: index, total: base.blockCount, unit: 'blocks' });
      const measured = await measureBlock(input, base.block(index), quantized.block(index), sites.get(index) ?? [], states);
      layers.push(...measured.layers);
      drift.push(measured.drift);
    }
    onEvent?.({ phase: 'Comparing layers', done: base.blockCount, total: base.blockCount, unit: 'blocks' });
  } finally {
    for (const state of states) backend.free(state.base, state.quantized);
  }
  if (!head.tied) layers.push(...(await outsideBlocks(input, head.weight.name)));
  return { layers, drift };
}

async function measureBlock(
  { backend, quantized }: MeasureLayersInput,
  block: TransformerBlock,
  other: TransformerBlock,
  sites: readonly ScalingSite[],
  states: { base: BufferHandle; quantized: BufferHandle }[],
): Promise<{ layers: MeasuredLayer[]; drift: number }> {
  const weights = await block.load();
  const otherWeights = await other.load();
  let compared = otherWeights;
  try {
    compared = await alignWeights(backend, sites, weights, other, otherWeights);
    const linears = block.stages.flatMap((stage) => stage.linears);
    const outputs = new Map<string, Energy>(linears.map(({ name }) => [name, { error: 0, norm: 0 }]));
    const moved: Energy = { error: 0, norm: 0 };
    for (const state of states) {
      const waiting: Promise<void>[] = [];
      const observe = (point: string, x: BufferHandle) => {
        for (const { name, input } of linears) {
          if (input !== point) continue;
          const [y, z] = [weights, compared].map((of) => backend.run(linear, { x, w: of.get(name) as BufferHandle }, {}).y);
          waiting.push(addEnergy(backend, y, z, outputs.get(name) as Energy));
          backend.free(y, z);
        }
      };
      const next = await block.forward(state.base, weights, { observe });
      const otherNext = await other.forward(state.quantized, otherWeights);
      waiting.push(addEnergy(backend, next, otherNext, moved));
      backend.free(state.base, state.quantized);
      state.base = next;
      state.quantized = otherNext;
      await Promise.all(waiting);
    }
    const layers: MeasuredLayer[] = [];
    for (const info of linears) {
      const energy: Energy = { error: 0, norm: 0 };
      await addEnergy(backend, weights.get(info.name) as BufferHandle, compared.get(info.name) as BufferHandle, energy);
      const output = outputs.get(info.name) as Energy;
      layers.push({
        ...identity(info, quantized.checkpoint),
        weightError: ratio(energy),
        // An expert that saw no token of the text has no output to compare.
        ...(output.norm > 0 ? { outputError: ratio(output) } : {}),
      });
    }
    return { layers, drift: ratio(moved) };
  } finally {
    block.release(weights);
    other.release(otherWeights);
    if (compared !== otherWeights) other.release(compared);
  }
}

/** Adds the squares of what differs; the buffers may be freed once this has been called. */
function addEnergy(backend: Backend, x: BufferHandle, y: BufferHandle, into: Energy): Promise<void> {
  const { errors, norms } = backend.run(weightedError, { x, y }, {});
  const fetched = Promise.all([backend.download(errors), backend.download(norms)]);
  return fetched
    .then(([ofErrors, ofNorms]) => {
      into.error += total(ofErrors.data as Float64Array);
      into.norm += total(ofNorms.data as Float64Array);
    })
    .finally(() => backend.free(errors, norms));
}

/** Elements that are compared at a time. */
const CHUNK_ELEMENTS = 4 * 1024 * 1024;

/** The embedding or the output projection, by rows; nothing when it is stored as in the base. */
async function outsideBlocks({ base, quantized, backend, signal }: MeasureLayersInput, name: string): Promise<MeasuredLayer[]> {
  const [from, to] = [base.checkpoint.tensors.get(name), quantized.checkpoint.tensors.get(name)];
  if (!from || !to || from.shape.length !== 2 || from.shape.join() !== to.shape.join()) return [];
  const energy: Energy = { error: 0, norm: 0 };
  const step = Math.max(1, Math.floor(CHUNK_ELEMENTS / from.shape[1]));
  for (let start = 0; start < from.shape[0]; start += step) {
    throwIfAborted(signal);
    const range = { start, end: Math.min(from.shape[0], start + step) };
    await withBuffers(backend, async (track) => {
      const [x, y] = await Promise.all([base, quantized].map((model) => readF32(model.checkpoint, name, range, backend, track)));
      await addEnergy(backend, x, y, energy);
    });
  }
  return [{ name, role: roleOf(name), scheme: to.storage ?? to.dtype, weightError: ratio(energy) }];
}

async function readF32(
  checkpoint: Checkpoint,
  name: string,
  range: { readonly start: number; readonly end: number },
  backend: Backend,
  track: <T extends BufferHandle>(handle: T) => T,
): Promise<BufferHandle> {
  const source = track(await backend.upload(await checkpoint.read(name, range)));
  return source.dtype === 'f32' ? source : track(backend.run(convert, { x: source }, { to: 'f32' }).y);
}

function identity({ name, block }: LinearInfo, { tensors }: Checkpoint): Omit<MeasuredLayer, 'weightError'> {
  const stored = tensors.get(name);
  return { name, block, role: roleOf(name), scheme: stored?.storage ?? stored?.dtype ?? 'unknown' };
}

/** `q_proj` of `model.layers.0.self_attn.q_proj.weight`; experts of a mixture are one kind. */
function roleOf(name: string): string {
  return name
    .replace(/\.weight$/, '')
    .split('.')
    .at(-1) as string;
}

function ratio({ error, norm }: Energy): number {
  return norm > 0 ? error / norm : 0;
}

function total(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
