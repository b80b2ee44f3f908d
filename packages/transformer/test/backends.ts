import { createCpuBackend } from '@calibrant/backend-cpu';
import { createReferenceBackend } from '@calibrant/core';

export const BACKENDS = [
  { backend: 'reference', create: createReferenceBackend },
  { backend: 'CPU', create: () => createCpuBackend({ threads: 2 }) },
];
