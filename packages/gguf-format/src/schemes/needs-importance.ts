import type { Mixture, TypeName } from './mixture.js';
import { roleOf } from './roles.js';

/** Types that llama-quantize gives no tensor without importance, whatever the mixture. */
const ALWAYS: ReadonlySet<TypeName> = new Set(['IQ3_XXS', 'IQ2_XXS', 'IQ2_XS', 'IQ2_S', 'IQ1_M', 'IQ1_S']);

/** Whether llama-quantize refuses to give a tensor this type without importance; embedding and output layer never need any. */
export function needsImportance(mixture: Mixture, tensor: string, type: TypeName): boolean {
  const role = roleOf(tensor);
  return role !== 'embedding' && role !== 'output' && (ALWAYS.has(type) || type === mixture.needsImportance);
}
