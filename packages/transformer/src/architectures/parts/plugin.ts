import { type ArchitecturePlugin, defineArchitecture } from '@calibrant/core';
import { z } from 'zod';
import type { ArchitectureDescription } from '../../description.js';

export type Architecture = ArchitecturePlugin<ArchitectureDescription>;

/** One of this package's architectures: its `model_type`, its class in transformers, one sentence, a paper, and the function that describes it. */
export function architecture(
  name: string,
  className: string,
  description: string,
  source: string,
  describe: (config: Readonly<Record<string, unknown>>) => ArchitectureDescription,
): Architecture {
  return defineArchitecture<ArchitectureDescription>({
    name,
    modelTypes: [name, className],
    meta: { description, source, package: '@calibrant/transformer' },
    options: z.strictObject({}),
    describe,
  });
}
