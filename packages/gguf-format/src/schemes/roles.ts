/** What a tensor is for, as far as mixtures tell tensors apart. */
export type Role = 'output' | 'embedding' | 'value' | 'key' | 'query' | 'attention output' | 'up' | 'gate' | 'down' | 'other';

/** Parts of names, the first that is found decides. Fused projections count as values. */
const PARTS: readonly (readonly [string, Role])[] = [
  ['attn_qkv.weight', 'value'],
  ['attn_kv_b.weight', 'value'],
  ['attn_v.weight', 'value'],
  ['attn_k.weight', 'key'],
  ['attn_q.weight', 'query'],
  ['attn_output.weight', 'attention output'],
  ['ffn_up', 'up'],
  ['ffn_gate', 'gate'],
  ['ffn_down', 'down'],
];

/** The role of a tensor of a GGUF file by its name. */
export function roleOf(name: string): Role {
  if (name === 'output.weight') return 'output';
  if (name === 'token_embd.weight' || name === 'per_layer_token_embd.weight') return 'embedding';
  return PARTS.find(([part]) => name.includes(part))?.[1] ?? 'other';
}
