/** Layers that vLLM and SGLang load as one, and the name under which they do. */
const FUSED: readonly { readonly name: string; readonly members: readonly string[] }[] = [
  { name: 'qkv_proj', members: ['q_proj', 'k_proj', 'v_proj'] },
  { name: 'gate_up_proj', members: ['gate_proj', 'up_proj'] },
];

/**
 * Regular expressions that match the given modules and nothing else, one per parent: `^model\.layers\.0\.mlp\.(gate_proj|up_proj|gate_up_proj)$`. Where all members
 * of a fused layer are there, its name is matched, too.
 */
export function modulePatterns(modules: readonly string[]): string[] {
  const byParent = new Map<string, string[]>();
  for (const module of modules) {
    const [, parent, child] = /^(.*?)([^.]*)$/.exec(module) as RegExpExecArray;
    byParent.set(parent, [...(byParent.get(parent) ?? []), child]);
  }
  return [...byParent].map(([parent, children]) => {
    const fused = FUSED.filter(({ members }) => members.every((member) => children.includes(member))).map(({ name }) => name);
    const all = [...children, ...fused].map(escaped);
    return `^${escaped(parent)}${all.length === 1 ? all[0] : `(${all.join('|')})`}$`;
  });
}

function escaped(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
