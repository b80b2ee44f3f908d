import { createCpuBackend } from '@calibrant/backend-cpu';
import { bitsandbytesFormat } from '@calibrant/bitsandbytes-format';
import { createReferenceBackend } from '@calibrant/core';
import { testFolderFormat } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

const refused = ['int4-g128-asym', 'int8-g128-sym', 'int8-channel-asym', 'int8-tensor'];

describe('on the reference', () => {
  const createBackend = async () => createReferenceBackend();
  testFolderFormat(bitsandbytesFormat, { describe, it, expect, createBackend, schemes: ['int8-channel-sym'], refused });
});

describe('on the CPU', () => {
  const createBackend = async () => createCpuBackend({ threads: 2 });
  testFolderFormat(bitsandbytesFormat, { describe, it, expect, createBackend, schemes: ['int8-channel-sym'] });
});
