import { CalibrantError } from '@calibrant/core';
import { type AdapterInfo, describeAdapter, requestAdapter } from './adapter.js';
import { silence } from './device-errors.js';
import { createDispatcher, type Dispatcher } from './dispatch.js';
import { forgetGpuJs } from './gpujs/shared.js';

/** A device with its adapter. `lost` is set once the device is gone. */
export interface SharedDevice {
  readonly adapter: GPUAdapter;
  readonly device: GPUDevice;
  readonly info: AdapterInfo;
  /** Keeps compiled kernels for all backends on the device. */
  readonly dispatcher: Dispatcher;
  lost: CalibrantError | undefined;
}

/** gpu.js knows one device per process, so every open backend uses the same one; it is destroyed with the last. */
let current: { readonly opening: Promise<SharedDevice>; users: number } | undefined;

/**
 * The process's device, with the adapter's own limits rather than WebGPU's defaults (128 MiB per binding).
 *
 * @throws CalibrantError `MISSING_DEPENDENCY` when there is no adapter or it gives no device.
 */
export async function acquireDevice(): Promise<SharedDevice> {
  if (!current) current = { opening: openDevice(), users: 0 };
  const entry = current;
  entry.users++;
  try {
    const shared = await entry.opening;
    if (!shared.lost) return shared;
    if (current === entry) current = undefined;
    return await acquireDevice();
  } catch (error) {
    if (current === entry) current = undefined;
    throw error;
  }
}

/** Gives back one {@link acquireDevice}; the last one destroys the device. */
export async function releaseDevice(shared: SharedDevice): Promise<void> {
  const entry = current;
  if (!entry || (await entry.opening) !== shared) return;
  if (--entry.users > 0) return;
  if (current === entry) current = undefined;
  await forgetGpuJs();
  shared.device.destroy();
  await shared.device.lost;
}

async function openDevice(): Promise<SharedDevice> {
  const adapter = await requestAdapter();
  if (typeof adapter === 'string') throw new CalibrantError('MISSING_DEPENDENCY', `The WebGPU backend cannot start: ${adapter}.`);
  const { limits } = adapter;
  const device = await adapter
    .requestDevice({
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
        maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
        maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
        maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      },
    })
    .catch((cause: Error) => {
      throw new CalibrantError('MISSING_DEPENDENCY', `The WebGPU adapter "${adapter.info.description}" gave no device: ${cause.message}`, {
        cause,
      });
    });
  silence(device);
  const shared: SharedDevice = {
    adapter,
    device,
    info: describeAdapter(adapter),
    dispatcher: createDispatcher(device),
    lost: undefined,
  };
  void device.lost.then(({ reason, message }) => {
    shared.lost = new CalibrantError(
      'IO',
      reason === 'destroyed' ? 'The WebGPU backend was closed.' : `The WebGPU device was lost: ${message} Open the backend again.`,
    );
  });
  return shared;
}
