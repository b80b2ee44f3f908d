/** Dawn's instance must outlive every object made from it: the process ends with a segmentation fault when it is collected before. */
let instance: GPU | undefined;

/**
 * Dawn as a Node addon. The `webgpu` package is an optional dependency, so that a machine it does not support can still install ours.
 * Its globals stay out of `globalThis`.
 */
export async function openGpu(): Promise<GPU | string> {
  try {
    const { create } = await import('webgpu');
    instance ??= create([]);
    return instance;
  } catch (error) {
    return `the npm package "webgpu" could not be loaded (${(error as Error).message.split('\n')[0]}): install it with \`npm install webgpu\``;
  }
}
