/** The platform's WebGPU entry point, or a reason for a person why there is none. */
export async function openGpu(): Promise<GPU | string> {
  const gpu = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  return gpu ?? 'this browser has no WebGPU (navigator.gpu is missing): use a current version and a secure (https) page';
}
