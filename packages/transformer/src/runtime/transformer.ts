import {
  type ArchitecturePlugin,
  type Backend,
  type BufferHandle,
  CalibrantError,
  type Checkpoint,
  type ExecutionPlan,
  type RunOptions,
  type Tensor,
  throwIfAborted,
} from '@calibrant/core';
import { architectures as official } from '../architectures/official.js';
import { checkTensors, describeCheckpoint } from '../architectures/resolve.js';
import type { ArchitectureDescription } from '../description.js';
import { createBlock, type LinearInfo, stagesOf, type TransformerBlock } from './block.js';
import { checkExecution } from './check-execution.js';
import { createEmbedding, type EmbedOptions } from './embedding.js';
import { createHead } from './head.js';
import { createPositionBuffers, type PositionBuffers } from './position-buffers.js';
import { blockExecution } from './rounding.js';

export interface OpenTransformerOptions {
  /** Architectures to choose from; those of this package if absent. */
  readonly architectures?: readonly ArchitecturePlugin<ArchitectureDescription>[];
  /** Largest piece of the embedding table or the output projection that is held in f32 at once, in bytes; 256 MiB if absent. */
  readonly chunkBytes?: number;
  /** Grids that inputs of linear layers and cached keys and values are rounded to; what the checkpoint asks for if absent, null for none. */
  readonly execution?: ExecutionPlan | null;
}

export interface RunSequencesOptions extends RunOptions {
  /** Called at every observation point of every block with the index of the sequence; see `ForwardOptions.observe`. */
  readonly observe?: (block: number, point: string, handle: BufferHandle, sequence: number) => void;
}

/** A model that runs block by block. Memory is that of what the caller holds: at most the embedding, the head and position tables stay until `release`. */
export interface Transformer {
  readonly description: ArchitectureDescription;
  readonly backend: Backend;
  readonly checkpoint: Checkpoint;
  readonly positions: PositionBuffers;
  /** What the forward pass and the cached decoder round; undefined when they compute in floating point throughout. */
  readonly execution: ExecutionPlan | undefined;
  readonly blockCount: number;
  /** All linear layers inside blocks, in the order in which they are computed. */
  linears(): readonly LinearInfo[];
  /** Hidden states `[tokens, hiddenSize]` of one sequence before the first block, on `lane` or visible to all. */
  embed(ids: Int32Array, options?: EmbedOptions): Promise<BufferHandle>;
  /** @throws CalibrantError `INVALID_ARGUMENT` when there is no such block. */
  block(index: number): TransformerBlock;
  /** Logits `[tokens, vocabSize]` of the last block's output, which stays the caller's. */
  head(hidden: BufferHandle): Promise<BufferHandle>;
  /** The final norm of the last block's output (the input of the output projection). */
  finalNorm(hidden: BufferHandle): Promise<BufferHandle>;
  /**
   * Streams all blocks over the sequences, one block's weights in memory at a time, the sequences dealt out to the lanes.
   * Returns the last block's outputs, one per sequence, which the caller frees.
   */
  run(sequences: readonly Int32Array[], options?: RunSequencesOptions): Promise<BufferHandle[]>;
  /** Logits f32 `[tokens, vocabSize]` of one sequence. */
  logits(ids: Int32Array): Promise<Tensor>;
  /** Frees what the model holds (embedding, head, position tables). It can be used again afterwards. */
  release(): Promise<void>;
}

const CHUNK_BYTES = 256 * 1024 * 1024;

/**
 * Opens a checkpoint as a model that runs on a backend. Reads no weights yet, but checks that they are all there in their shapes.
 *
 * @throws CalibrantError `UNSUPPORTED` for an unknown architecture (lists the known ones), `CORRUPT_FILE` for missing or mis-shaped tensors, `INVALID_ARGUMENT` for
 * an execution plan that does not fit the model.
 * @example
 * const model = openTransformer(checkpoint, backend);
 * const logits = await model.logits(Int32Array.of(532, 2698, 293));
 * await model.release();
 */
export function openTransformer(checkpoint: Checkpoint, backend: Backend, options: OpenTransformerOptions = {}): Transformer {
  const { architectures = official, chunkBytes = CHUNK_BYTES } = options;
  const description = describeCheckpoint(checkpoint, architectures);
  checkTensors(checkpoint, description);
  const execution = (options.execution === undefined ? checkpoint.execution : options.execution) ?? undefined;
  if (execution) checkExecution(execution, description);
  const positions = createPositionBuffers(backend, description);
  const embedding = createEmbedding(backend, checkpoint, description, positions, chunkBytes);
  const head = createHead(backend, checkpoint, description, positions, chunkBytes, execution);

  const model: Transformer = {
    description,
    backend,
    checkpoint,
    positions,
    execution,
    blockCount: description.blocks.length,
    linears: () => description.blocks.flatMap((steps, block) => stagesOf(steps, block).flatMap(({ linears }) => linears)),
    embed: embedding.embed,
    block(index) {
      if (!description.blocks[index])
        throw new CalibrantError('INVALID_ARGUMENT', `The model has blocks 0 to ${description.blocks.length - 1}, asked for ${index}.`);
      return createBlock(backend, checkpoint, description, positions, index, blockExecution(execution, index));
    },
    head: head.logits,
    finalNorm: head.normed,
    run: (sequences, runOptions) => runSequences(model, sequences, runOptions),
    async logits(ids) {
      const [hidden] = await model.run([ids]);
      const handle = await head.logits(hidden);
      backend.free(hidden);
      try {
        return await backend.download(handle);
      } finally {
        backend.free(handle);
      }
    },
    async release() {
      await Promise.all([embedding.release(), head.release(), positions.release()]);
    },
  };
  return model;
}

async function runSequences(
  model: Transformer,
  sequences: readonly Int32Array[],
  { observe, onEvent, signal }: RunSequencesOptions = {},
): Promise<BufferHandle[]> {
  const { backend, description } = model;
  const states: BufferHandle[] = [];
  try {
    // A single sequence is left to all lanes (rows are split); several each keep to one lane.
    for (const [i, ids] of sequences.entries())
      states.push(await model.embed(ids, sequences.length === 1 ? {} : { lane: i % backend.lanes }));
    for (let index = 0; index < description.blocks.length; index++) {
      const block = model.block(index);
      const weights = await block.load();
      try {
        await inTurns(states.length, observe ? 1 : backend.lanes, async (i) => {
          throwIfAborted(signal);
          const options = observe ? { observe: (point: string, handle: BufferHandle) => observe(index, point, handle, i) } : {};
          const hidden = states[i];
          states[i] = await block.forward(hidden, weights, options);
          backend.free(hidden);
        });
        await backend.sync();
      } finally {
        block.release(weights);
      }
      onEvent?.({ phase: 'Running the model', done: index + 1, total: description.blocks.length, unit: 'blocks' });
    }
    return states;
  } catch (error) {
    backend.free(...states);
    throw error;
  }
}

/**
 * Works on items 0 to count in several rows of turns at once, one for each lane, so that lanes do not wait for each other where a mixture waits for its
 * router. With one row, in order.
 */
async function inTurns(count: number, rows: number, work: (item: number) => Promise<void>): Promise<void> {
  const ended = await Promise.allSettled(
    Array.from({ length: Math.min(rows, count) }, async (_, row) => {
      for (let item = row; item < count; item += rows) await work(item);
    }),
  );
  const failed = ended.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
