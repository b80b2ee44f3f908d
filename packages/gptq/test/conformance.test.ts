import { createCpuBackend } from '@calibrant/backend-cpu';
import { createReferenceBackend } from '@calibrant/core';
import { type GptqOptions, gptq } from '@calibrant/gptq';
import { testQuantizer } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const VARIATIONS: readonly GptqOptions[] = [
  {},
  { actOrder: 'full' },
  { actOrder: 'full', staticGroups: true, blockSize: 7 },
  { actOrder: 'none', dampPercent: 0.1 },
];

for (const options of VARIATIONS)
  describe(`on the reference backend with ${JSON.stringify(options)}`, () => {
    testQuantizer(() => gptq(options), { describe, it, expect, createBackend: async () => createReferenceBackend() });
  });

describe('on the CPU backend', () => {
  testQuantizer(() => gptq(), { describe, it, expect, createBackend: async ({ lanes }) => createCpuBackend({ threads: lanes }) });
});
