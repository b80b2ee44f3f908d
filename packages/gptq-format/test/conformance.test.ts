import { createCpuBackend } from '@calibrant/backend-cpu';
import { createReferenceBackend } from '@calibrant/core';
import { gptqFormat } from '@calibrant/gptq-format';
import { testFolderFormat } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const schemes = [2, 3, 4, 8].flatMap((bits) =>
  ['channel', 'g32'].flatMap((unit) => ['sym', 'asym'].map((symmetry) => `int${bits}-${unit}-${symmetry}`)),
);
const refused = ['int5-g32', 'int4-tensor'];

describe('on the reference', () => {
  testFolderFormat(gptqFormat, { describe, it, expect, createBackend: async () => createReferenceBackend(), schemes, refused });
});

describe('on the CPU', () => {
  const createBackend = async () => createCpuBackend({ threads: 2 });
  testFolderFormat(gptqFormat, { describe, it, expect, createBackend, schemes: ['int3-g32-asym', 'int4-g96-sym'], refused });
});
