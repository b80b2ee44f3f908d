import { z } from 'zod';

export const optionsSchema = z.strictObject({
  version: z
    .enum(['auto', 'gptq', 'gptq_v2'])
    .default('auto')
    .describe('gptq (v1) stores zero points minus one, gptq_v2 as they are; auto: v1 for symmetric grids, v2 for asymmetric ones'),
  shiftZeroPoints: z
    .boolean()
    .default(false)
    .describe(
      'with version gptq and an asymmetric grid: store the zero point 0, which v1 cannot hold, as 1, which moves its group by one step',
    ),
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

export type GptqFormatOptions = z.output<typeof optionsSchema>;
