import { CalibrantError } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Arena } from '../src/arena.js';
import { createMemory, PAGE } from '../src/wasm-runtime.js';

describe('the arena', () => {
  it('hands out aligned blocks that never overlap, and merges what comes back', () => {
    const step = fc.record({ bytes: fc.nat(200_000), release: fc.nat(20), drop: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const arena = new Arena(createMemory(4), 1000, 400 * PAGE);
        const live: { start: number; end: number }[] = [];
        for (const { bytes, release, drop } of steps) {
          if (drop && live.length > 0) {
            const [gone] = live.splice(release % live.length, 1);
            arena.release(gone.start);
            continue;
          }
          const start = arena.allocate(bytes);
          expect(start % 64).toBe(0);
          expect(start).toBeGreaterThanOrEqual(1000);
          expect(start + bytes).toBeLessThanOrEqual(arena.memory.buffer.byteLength);
          for (const other of live) expect(start >= other.end || start + bytes <= other.start).toBe(true);
          live.push({ start, end: start + Math.max(1, bytes) });
        }
        for (const { start } of live) arena.release(start);
        expect(arena.allocated).toBe(0);
        // Everything is one block again: it can be had at once without growing.
        const size = arena.memory.buffer.byteLength;
        const rest = size - 1024;
        expect(arena.allocate(rest)).toBe(1024);
        expect(arena.memory.buffer.byteLength).toBe(size);
      }),
      { numRuns: 60 },
    );
  });

  it('says OUT_OF_MEMORY at its limit and goes on working', () => {
    const arena = new Arena(createMemory(1), 64, 8 * PAGE);
    const kept = arena.allocate(4 * PAGE);
    let error: unknown;
    try {
      arena.allocate(5 * PAGE);
    } catch (thrown) {
      error = thrown;
    }
    expect(CalibrantError.isInstance(error) && error.code).toBe('OUT_OF_MEMORY');
    arena.release(kept);
    expect(arena.allocate(7 * PAGE)).toBe(64);
  });

  it('refuses to release what it did not hand out', () => {
    const arena = new Arena(createMemory(1), 64);
    const start = arena.allocate(10);
    arena.release(start);
    expect(() => arena.release(start)).toThrow('is not an allocated block');
  });
});
