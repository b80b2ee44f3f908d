import { awq } from '@calibrant/awq';
import { awqFormat } from '@calibrant/awq-format';
import { cpuBackend } from '@calibrant/backend-cpu';
import { bitsandbytesFormat, bitsandbytesSchemes } from '@calibrant/bitsandbytes-format';
import { calibrators } from '@calibrant/calibrators';
import { compressedTensors } from '@calibrant/compressed-tensors';
import type { Plugin } from '@calibrant/core';
import { ggufFormat, ggufSchemes } from '@calibrant/gguf-format';
import { gptq } from '@calibrant/gptq';
import { gptqFormat } from '@calibrant/gptq-format';
import { rtn } from '@calibrant/rtn';
import { smoothquant } from '@calibrant/smoothquant';
import { architectures } from '@calibrant/transformer';

/** The plug-ins that the CLI registers, in the way in which any program registers its own. The WebGPU backend is optional. */
export async function officialPlugins(): Promise<Plugin[]> {
  return [
    ...architectures,
    rtn(),
    gptq(),
    smoothquant(),
    awq(),
    ...calibrators(),
    ...ggufSchemes(),
    ggufFormat(),
    gptqFormat(),
    awqFormat(),
    compressedTensors(),
    ...bitsandbytesSchemes(),
    bitsandbytesFormat(),
    cpuBackend(),
    ...(await optionalPlugins()),
  ];
}

async function optionalPlugins(): Promise<Plugin[]> {
  try {
    const { webgpuBackend } = await import('@calibrant/backend-webgpu');
    return [webgpuBackend()];
  } catch {
    return [];
  }
}
