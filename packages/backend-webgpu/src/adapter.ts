import { openGpu } from '#gpu-entry';

/** What the adapter says about itself, for `calibrant doctor` and for reports. */
export interface AdapterInfo {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Whether the "GPU" is a CPU rasterizer such as SwiftShader. */
  readonly software: boolean;
  readonly features: readonly string[];
  /** Bytes of the largest tensor that a kernel can see. */
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
  /** Bytes of memory that a workgroup shares. */
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
}

const NO_ADAPTER =
  "no WebGPU adapter was found: install a Vulkan driver for the GPU and the Vulkan loader (Debian: libvulkan1); Debian's chromium package brings a software adapter";

/** The first adapter, or a reason for a person why there is none. Never throws. */
export async function requestAdapter(): Promise<GPUAdapter | string> {
  const gpu = await openGpu();
  if (typeof gpu === 'string') return gpu;
  try {
    return (await gpu.requestAdapter({ powerPreference: 'high-performance' })) ?? NO_ADAPTER;
  } catch (error) {
    return `${NO_ADAPTER} (${(error as Error).message})`;
  }
}

export function describeAdapter(adapter: GPUAdapter): AdapterInfo {
  const { info, limits } = adapter;
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    software: info.architecture === 'swiftshader' || /llvmpipe|swiftshader/i.test(`${info.device} ${info.description}`),
    features: [...adapter.features].sort(),
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxBufferSize: limits.maxBufferSize,
    maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
  };
}

/**
 * Describes the adapter that {@link createWebgpuBackend} would use, without opening a device.
 *
 * @returns the description, or a reason for a person why there is no adapter
 * @example
 * const info = await adapterInfo();
 * console.log(typeof info === 'string' ? info : info.description);
 */
export async function adapterInfo(): Promise<AdapterInfo | string> {
  const adapter = await requestAdapter();
  return typeof adapter === 'string' ? adapter : describeAdapter(adapter);
}
