import { createReferenceBackend } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { testBackend } from '../src/test-backend.js';

testBackend(() => createReferenceBackend(), { describe, it, expect });
