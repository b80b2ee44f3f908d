import { keptModules } from '@calibrant/checkpoint';
import { CalibrantError, type FormatInput, type PlannedTensor } from '@calibrant/core';
import { type FourBitForm, parseFourBitName } from '../grids/four-bit.js';
import type { BitsandbytesFormatOptions } from '../options.js';

/** The 4-bit form that a tensor is planned in; undefined for 8 bits and floats. */
export function fourBitForm({ scheme }: PlannedTensor): FourBitForm | undefined {
  return scheme.kind === 'block' ? parseFourBitName(scheme.type) : undefined;
}

/**
 * Refuses plans of 4 and 8 bits.
 *
 * @throws CalibrantError `UNSUPPORTED` naming a tensor of each.
 */
export function checkOneWidth(plan: readonly PlannedTensor[]): void {
  const quantized = plan.filter(({ scheme }) => scheme.kind !== 'float');
  const four = quantized.find((planned) => fourBitForm(planned));
  const eight = quantized.find((planned) => !fourBitForm(planned));
  if (four && eight)
    throw new CalibrantError(
      'UNSUPPORTED',
      `A model of bitsandbytes has 4 bits or 8 bits throughout: ${four.name} is planned with 4 and ${eight.name} with 8. Use one of them, or the format compressed-tensors.`,
      { tensor: eight.name, option: 'recipe.overrides' },
    );
}

/** `quantization_config` as transformers writes it. Readers in Python tell 6.0 from 6. */
export function quantizationConfig(
  { facts }: FormatInput,
  plan: readonly PlannedTensor[],
  { threshold }: BitsandbytesFormatOptions,
  computeType: string,
) {
  const quantized = plan.filter(({ scheme }) => scheme.kind !== 'float');
  if (quantized.length === 0) return undefined;
  const forms = quantized.flatMap((planned) => fourBitForm(planned) ?? []);
  const [fourBit, eightBit] = [forms.length > 0, forms.length === 0];
  return {
    quantization: {
      _load_in_4bit: fourBit,
      _load_in_8bit: eightBit,
      bnb_4bit_compute_dtype: fourBit ? computeType : 'float32',
      bnb_4bit_quant_storage: 'uint8',
      bnb_4bit_quant_type: forms[0]?.quantType ?? 'fp4',
      bnb_4bit_use_double_quant: forms.some(({ doubleQuant }) => doubleQuant),
      llm_int8_enable_fp32_cpu_offload: false,
      llm_int8_has_fp16_weight: false,
      llm_int8_skip_modules: keptModules(plan, facts),
      llm_int8_threshold: threshold,
      load_in_4bit: fourBit,
      load_in_8bit: eightBit,
      quant_method: 'bitsandbytes',
    },
    floats: ['llm_int8_threshold'],
  };
}
