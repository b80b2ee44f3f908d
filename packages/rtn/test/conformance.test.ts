import { createReferenceBackend } from '@calibrant/core';
import { testQuantizer } from '@calibrant/plugin-kit';
import { rtn } from '@calibrant/rtn';
import { describe, expect, it } from '@jest/globals';

describe('on the reference backend', () => {
  testQuantizer(() => rtn(), {
    describe,
    it,
    expect,
    createBackend: async () => createReferenceBackend(),
    tolerances: { weightError: 0.5 },
  });
});
