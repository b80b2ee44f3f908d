import type { SafetensorsEntry } from '../safetensors/header.js';

type Json = Readonly<Record<string, unknown>>;

/** A layer's experts in two tensors: `gate_up_proj [experts, 2 · intermediate, hidden]` and `down_proj [experts, hidden, intermediate]`. */
const FUSED = /^(.+\.experts)\.(gate_up_proj|down_proj)$/;

/** Names of gate, up and down of one expert, and the module of router and experts, where they are not those of Qwen. */
const MIXTRAL = { gate: 'w1', up: 'w3', down: 'w2', module: '.block_sparse_moe.' };
const QWEN = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj', module: '.mlp.' };

/**
 * Models in memory hold all experts of a layer in tensors of three dimensions, and some checkpoints are written like that. Here they are cut into the
 * tensors of single experts that checkpoints usually have, under those names: `experts.3.gate_proj.weight [intermediate, hidden]`. They are ranges of the
 * file, so nothing is copied. Experts in another layout (`[experts, in, out]`) are left as they are.
 */
export function splitExperts<Located extends { readonly entry: SafetensorsEntry }>(
  tensors: ReadonlyMap<string, Located>,
  config: Json,
): Map<string, Located> {
  const names = config['model_type'] === 'mixtral' ? MIXTRAL : QWEN;
  const rename = (name: string) => name.replace(/\.mlp\.(?=gate\.|experts\.)/, names.module);
  const fused = [...tensors.keys()].filter((name) => isFused(name, tensors));
  if (fused.length === 0) return new Map(tensors);
  const parts: [string, Located][] = [];
  for (const [name, located] of tensors) {
    const [, experts, kind] = (fused.includes(name) && FUSED.exec(name)) || [];
    if (experts === undefined) {
      parts.push([rename(name), renamed(located, rename(name))]);
      continue;
    }
    const projections = kind === 'down_proj' ? [names.down] : [names.gate, names.up];
    const [count, rows, columns] = located.entry.shape;
    const shape = [rows / projections.length, columns];
    const bytes = located.entry.bytes / (count * projections.length);
    for (let i = 0; i < count * projections.length; i++) {
      const part = `${rename(`${experts}.`)}${Math.floor(i / projections.length)}.${projections[i % projections.length]}.weight`;
      const entry = { ...located.entry, name: part, shape, bytes, offset: located.entry.offset + i * bytes };
      parts.push([part, { ...located, entry }]);
    }
  }
  return new Map(parts);
}

/** More experts than any layer has; what says more is left as it is, so that it cannot keep us busy. */
const MOST_EXPERTS = 2 ** 16;

/** Whether a tensor and its counterpart have the shapes of fused experts. */
function isFused(name: string, tensors: ReadonlyMap<string, { readonly entry: SafetensorsEntry }>): boolean {
  const experts = FUSED.exec(name)?.[1];
  const gateUp = tensors.get(`${experts}.gate_up_proj`)?.entry.shape ?? [];
  const down = tensors.get(`${experts}.down_proj`)?.entry.shape ?? [];
  const [count, rows] = gateUp;
  if (gateUp.length !== 3 || count > MOST_EXPERTS || rows % 2 !== 0) return false;
  return [count, gateUp[2], rows / 2].join() === down.join();
}

function renamed<Located extends { readonly entry: SafetensorsEntry }>(located: Located, name: string): Located {
  return name === located.entry.name ? located : { ...located, entry: { ...located.entry, name } };
}
