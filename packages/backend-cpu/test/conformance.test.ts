import { createCpuBackend } from '@calibrant/backend-cpu';
import { testBackend } from '@calibrant/plugin-kit';
import { describe, expect, it } from '@jest/globals';

testBackend(({ lanes }) => createCpuBackend({ threads: lanes }), { describe, it, expect });
