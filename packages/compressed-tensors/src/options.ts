import { z } from 'zod';

const floats = z.enum(['auto', 'f32', 'f16', 'bf16']);

export const optionsSchema = z.strictObject({
  scaleDtype: floats.default('auto').describe("type of the scales; auto: the source tensor's, as vLLM expects"),
  dtype: floats.default('auto').describe("type of tensors that are not quantized; auto: the source tensor's"),
  maxShardBytes: z.number().int().min(1).default(5e9).describe('bytes of tensors per file'),
});

export type CompressedTensorsOptions = z.output<typeof optionsSchema>;
