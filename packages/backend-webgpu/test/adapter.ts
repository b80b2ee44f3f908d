import { adapterInfo } from '@calibrant/backend-webgpu';
import { describe } from '@jest/globals';

/** A WebGPU adapter is a program outside npm: tests that need one are left out, with a printed reason, where there is none. */
const info = await adapterInfo();

export function describeWithAdapter(file: string, name: string, body: () => void): void {
  if (typeof info === 'string') process.stderr.write(`left out: packages/backend-webgpu/test/${file}: ${info}\n`);
  (typeof info === 'string' ? describe.skip : describe)(name, body);
}
