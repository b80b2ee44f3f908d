import { parseMinifloatScheme } from '../minifloat.js';
import { parseAffineScheme } from '../scheme-name.js';

/** Methods whose usual grid is an integer grid; others usually write GGUF. */
const INTEGER_METHODS = new Set(['gptq']);

/** Grids that one format alone holds. */
const BITSANDBYTES_SCHEME = /^(?:nf4|fp4)(?:-g\d+)?(?:-dq)?$|^llm-int8$/i;

/**
 * Fills in the scheme and format that a recipe leaves out so that they fit each other: an integer grid goes into compressed-tensors, NF4, FP4
 * and LLM.int8() into bitsandbytes (which gets nf4), another scheme into GGUF; GGUF gets Q4_K_M, GPTQ files `int4-g128-sym` (what every server's fast kernel takes), others `int4-g128-asym`; with neither given
 * the method decides.
 */
export function withMatchingDefaults(input: unknown): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return input;
  const { scheme, format, quantizer } = input as Record<string, unknown>;
  if (scheme !== undefined && format !== undefined) return input;
  if (scheme !== undefined && BITSANDBYTES_SCHEME.test(nameOf(scheme) ?? '')) return { ...input, format: 'bitsandbytes' };
  if (/^(bitsandbytes|bnb)$/i.test(nameOf(format) ?? '')) return { ...input, scheme: 'nf4' };
  const integer =
    scheme !== undefined
      ? isInteger(nameOf(scheme))
      : format !== undefined
        ? nameOf(format)?.toLowerCase() !== 'gguf'
        : INTEGER_METHODS.has(nameOf(quantizer)?.toLowerCase() ?? '');
  return {
    ...input,
    scheme: scheme ?? (integer ? (nameOf(format)?.toLowerCase() === 'gptq' ? 'int4-g128-sym' : 'int4-g128-asym') : 'Q4_K_M'),
    format: format ?? (integer ? 'compressed-tensors' : 'gguf'),
  };
}

function nameOf(value: unknown): string | undefined {
  const name = typeof value === 'object' && value !== null ? (value as { name?: unknown }).name : value;
  return typeof name === 'string' ? name : undefined;
}

function isInteger(name: string | undefined): boolean {
  try {
    return name !== undefined && (parseAffineScheme(name) ?? parseMinifloatScheme(name)) !== undefined;
  } catch {
    return true; // an integer grid out of range: its own message comes later
  }
}
