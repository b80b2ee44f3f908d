import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, createReferenceBackend } from '@calibrant/core';
import { testQuantizer } from '@calibrant/plugin-kit';
import { rtn } from '@calibrant/rtn';
import { describe, expect, it } from '@jest/globals';

const BACKENDS: Record<string, (options: { lanes: number }) => Promise<Backend>> = {
  'the reference backend': async () => createReferenceBackend(),
  'the CPU backend': async ({ lanes }) => createCpuBackend({ threads: lanes }),
};

for (const [name, createBackend] of Object.entries(BACKENDS))
  describe(`on ${name}`, () => {
    testQuantizer(() => rtn(), { describe, it, expect, createBackend, tolerances: { weightError: 0.5 } });
  });
