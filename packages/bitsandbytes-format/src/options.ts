import { z } from 'zod';

export const optionsSchema = z.strictObject({
  dtype: z
    .enum(['auto', 'f32', 'f16', 'bf16'])
    .default('auto')
    .describe("type of tensors that are not quantized, and in which readers compute; auto: the source tensor's"),
  threshold: z
    .number()
    .min(0)
    .default(6)
    .describe('8 bits: inputs of at least this magnitude are multiplied in 16 bits by readers (llm_int8_threshold)'),
  maxShardBytes: z.number().int().min(1).default(5e9).describe('bytes of tensors per file'),
});

export type BitsandbytesFormatOptions = z.output<typeof optionsSchema>;
