import { z } from 'zod';

export const optionsSchema = z.strictObject({
  scaleDtype: z
    .enum(['auto', 'f16', 'bf16', 'f32'])
    .default('auto')
    .describe('type of the scales; auto: f16, or what a converted source has'),
  dtype: z
    .enum(['auto', 'f32', 'f16', 'bf16'])
    .default('auto')
    .describe("type of tensors that are not quantized; auto: the source tensor's"),
  maxShardBytes: z.number().int().min(1).default(5e9).describe('bytes of tensors per file'),
});

export type AwqFormatOptions = z.output<typeof optionsSchema>;
