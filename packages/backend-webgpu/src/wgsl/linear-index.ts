/** Invocations per workgroup of the one-dimensional kernels. */
export const WORKGROUP = 256;
/** WebGPU's default limit of workgroups per dimension, which every device has. */
const MAX_GROUPS = 65535;

/** Workgroups for `threads` invocations, folded into a second dimension where one is too short. */
export function linearGroups(threads: number): readonly [number, number, number] {
  const groups = Math.max(1, Math.ceil(threads / WORKGROUP));
  return [Math.min(groups, MAX_GROUPS), Math.ceil(groups / MAX_GROUPS), 1];
}

/** The head of a kernel with one invocation per index; the body sees `i: u32`, which may be past the end. */
export const LINEAR_MAIN = `@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let i = (group.y * ${MAX_GROUPS}u + group.x) * ${WORKGROUP}u + local;`;

/** A uniform buffer of 32-bit words: whole numbers as u32 in `integers`, then `floats`. */
export function uniformWords(integers: readonly number[], floats: readonly number[] = []): ArrayBuffer {
  const words = new ArrayBuffer(Math.ceil((integers.length + floats.length) / 4) * 16);
  new Uint32Array(words).set(integers);
  new Float32Array(words).set(floats, integers.length);
  return words;
}
