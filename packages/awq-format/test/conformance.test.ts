import { awqFormat } from '@calibrant/awq-format';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { createReferenceBackend } from '@calibrant/core';
import { testFolderFormat } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const schemes = ['channel', 'g32'].flatMap((unit) => ['sym', 'asym'].map((symmetry) => `int4-${unit}-${symmetry}`));
const refused = ['int3-g32', 'int8-channel', 'int4-tensor'];

describe('on the reference', () => {
  testFolderFormat(awqFormat, { describe, it, expect, createBackend: async () => createReferenceBackend(), schemes, refused });
});

describe('on the CPU', () => {
  const createBackend = async () => createCpuBackend({ threads: 2 });
  testFolderFormat(awqFormat, { describe, it, expect, createBackend, schemes: ['int4-g32-asym'], refused });
});
