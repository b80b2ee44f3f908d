import { type Backend, type BufferHandle, tensor } from '@calibrant/core';
import type { ArchitectureDescription } from '../description.js';
import { isLong, ropeTables } from './rope-tables.js';

export interface RopeBuffers {
  readonly cos: BufferHandle;
  readonly sin: BufferHandle;
}

/** What a run over sequences of up to some length needs to know of positions, in buffers that every lane sees. */
export interface Positions {
  /** i32 `[tokens]`. */
  readonly ids: BufferHandle;
  readonly tables: Readonly<Record<string, RopeBuffers>>;
  /** ALiBi's slopes, f32 `[heads]`, of models that use them. */
  readonly alibi?: BufferHandle;
  /** Positions in use: one more than the largest id. */
  readonly count: number;
}

/** Makes position buffers once and keeps them until `release`. */
export interface PositionBuffers {
  /** 0, 1, … of one sequence. */
  sequence(length: number): Promise<Positions>;
  /** The same position for each of `rows` sequences that advance together, to become sequences of `length` tokens (of `position + 1` if absent). */
  step(position: number, rows: number, length?: number): Promise<Positions>;
  release(): Promise<void>;
}

/** Tables grow by doubling from here, so that few lengths make tables. */
const SMALLEST_TABLE = 256;

export function createPositionBuffers(
  backend: Backend,
  { rope: ropes, maxPositions = 0, alibi }: Pick<ArchitectureDescription, 'rope' | 'maxPositions' | 'alibi'>,
): PositionBuffers {
  const made = new Map<string, Promise<BufferHandle[]>>();
  const once = (key: string, make: () => Promise<BufferHandle[]>): Promise<BufferHandle[]> => {
    const found = made.get(key) ?? make();
    made.set(key, found);
    return found;
  };
  const ids = async (key: string, values: Int32Array): Promise<BufferHandle> => {
    const [handle] = await once(key, async () => [await backend.upload(tensor('i32', [values.length], values))]);
    return handle;
  };
  const tables = async (length: number): Promise<Record<string, RopeBuffers>> => {
    let size = SMALLEST_TABLE;
    while (size < length) size *= 2;
    if (length <= maxPositions) size = Math.min(size, maxPositions);
    const result: Record<string, RopeBuffers> = {};
    for (const [name, rope] of Object.entries(ropes)) {
      const [cos, sin] = await once(`${name} ${size}${isLong(rope, length) ? ' long' : ''}`, async () => {
        const pair = ropeTables(rope, size, length);
        return Promise.all([backend.upload(pair.cos), backend.upload(pair.sin)]);
      });
      result[name] = { cos, sin };
    }
    return result;
  };
  const slopes = async (): Promise<Pick<Positions, 'alibi'>> => {
    if (!alibi) return {};
    const [handle] = await once('alibi', async () => [await backend.upload(tensor('f32', [alibi.length], Float32Array.from(alibi)))]);
    return { alibi: handle };
  };
  return {
    async sequence(length) {
      const sequenceIds = await ids(
        `sequence ${length}`,
        Int32Array.from({ length }, (_, i) => i),
      );
      return { ids: sequenceIds, tables: await tables(length), ...(await slopes()), count: length };
    },
    async step(position, rows, length = position + 1) {
      const stepIds = await ids(`step ${position} ${rows}`, new Int32Array(rows).fill(position));
      return { ids: stepIds, tables: await tables(length), ...(await slopes()), count: position + 1 };
    },
    async release() {
      const all = await Promise.allSettled(made.values());
      made.clear();
      for (const result of all) if (result.status === 'fulfilled') backend.free(...result.value);
    },
  };
}
