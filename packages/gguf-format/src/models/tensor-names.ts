import { CalibrantError } from '@calibrant/core';

/** Hugging Face name and GGUF name of the tensors outside blocks, less `.weight` or `.bias`. */
const OUTSIDE: readonly (readonly [string, string])[] = [
  ['model.embed_tokens', 'token_embd'],
  ['model.norm', 'output_norm'],
  ['lm_head', 'output'],
];

/** The same within block N: `model.layers.N.` and `blk.N.`. */
const IN_BLOCK: readonly (readonly [string, string])[] = [
  ['input_layernorm', 'attn_norm'],
  ['self_attn.q_proj', 'attn_q'],
  ['self_attn.k_proj', 'attn_k'],
  ['self_attn.v_proj', 'attn_v'],
  ['self_attn.o_proj', 'attn_output'],
  ['self_attn.q_norm', 'attn_q_norm'],
  ['self_attn.k_norm', 'attn_k_norm'],
  ['post_attention_layernorm', 'ffn_norm'],
  ['mlp.gate_proj', 'ffn_gate'],
  ['mlp.up_proj', 'ffn_up'],
  ['mlp.down_proj', 'ffn_down'],
];

const toOutside = new Map(OUTSIDE);
const toInBlock = new Map(IN_BLOCK);
const fromOutside = new Map(OUTSIDE.map(([source, target]) => [target, source]));
const fromInBlock = new Map(IN_BLOCK.map(([source, target]) => [target, source]));

/** Tensors of checkpoints that are computed from the config when a model runs. */
const RECOMPUTED = /\.(attention\.masked_bias|attention\.bias|rotary_emb\.inv_freq)$/;

/**
 * The GGUF name of a checkpoint's tensor; undefined for those that a GGUF file does without.
 *
 * @throws CalibrantError `UNSUPPORTED` for a tensor that has no place in a Llama-like model.
 */
export function toGgufName(name: string): string | undefined {
  if (RECOMPUTED.test(name)) return undefined;
  const match = /^(?:model\.layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name);
  const stem = match?.[1] === undefined ? toOutside.get(match?.[2] ?? '') : toInBlock.get(match[2]);
  if (!match || !stem)
    throw new CalibrantError(
      'UNSUPPORTED',
      `The tensor "${name}" has no name in GGUF for this architecture, so the model cannot be converted.`,
      {
        tensor: name,
      },
    );
  return match[1] === undefined ? `${stem}.${match[3]}` : `blk.${match[1]}.${stem}.${match[3]}`;
}

/** The checkpoint's name of a GGUF tensor; undefined when there is none. */
export function fromGgufName(name: string): string | undefined {
  const match = /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name);
  if (!match) return undefined;
  const stem = match[1] === undefined ? fromOutside.get(match[2]) : fromInBlock.get(match[2]);
  if (!stem) return undefined;
  return match[1] === undefined ? `${stem}.${match[3]}` : `model.layers.${match[1]}.${stem}.${match[3]}`;
}

/** The block that a GGUF tensor belongs to, −1 for none. */
export function blockOf(name: string): number {
  const match = /^blk\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : -1;
}

/** The order of llama-quantize: by block, tensors outside blocks first, then by the bytes of the name. */
export function compareTensorNames(a: string, b: string): number {
  return blockOf(a) - blockOf(b) || (a < b ? -1 : a > b ? 1 : 0);
}
