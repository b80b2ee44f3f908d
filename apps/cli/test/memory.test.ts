import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';

const BENCH = fileURLToPath(new URL('../bench/memory.mjs', import.meta.url));

describe('streaming', () => {
  it('quantizes a sharded checkpoint of 1.2 GB with a peak RSS below the largest tensor in f32 twice and 300 MB', async () => {
    const args = [BENCH, '--gigabytes', '1.2', '--scheme', 'Q4_K', '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const { code, gigabytes, shards, peakMB, limitMB } = JSON.parse(stdout);
    console.log(`peak RSS of the conversion of ${gigabytes.toFixed(2)} GB: ${peakMB.toFixed(0)} MB of ${limitMB.toFixed(0)} MB`);
    expect(code).toBe(0);
    expect(shards).toBeGreaterThan(2);
    expect(limitMB).toBeLessThan(1000 * gigabytes);
    expect(peakMB).toBeLessThan(limitMB);
    expect(peakMB).toBeGreaterThan(50);
  }, 300_000);
});
