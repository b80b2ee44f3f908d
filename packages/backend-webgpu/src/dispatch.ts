import type { TensorSpec, WgslVariant } from '@calibrant/core';
import { BUFFER_USAGE, STAGE_COMPUTE } from './gpu-flags.js';

/** One call of a WGSL kernel, ready to be bound. */
export interface Dispatch {
  readonly label: string;
  readonly code: string;
  readonly workgroups: readonly [number, number, number];
  readonly uniforms: ArrayBuffer | undefined;
  readonly inputs: readonly GPUBuffer[];
  readonly outputs: readonly GPUBuffer[];
}

export interface Dispatcher {
  /** Compiles the code unless an equal text was compiled before. Rejects with what the compiler says. */
  prepare(dispatch: Pick<Dispatch, 'label' | 'code' | 'uniforms'> & { inputCount: number; outputCount: number }): Promise<Pipeline>;
  /** Binds and submits. */
  submit(pipeline: Pipeline, dispatch: Dispatch): void;
}

export interface Pipeline {
  readonly layout: GPUBindGroupLayout;
  readonly pipeline: GPUComputePipeline;
}

export function createDispatcher(device: GPUDevice): Dispatcher {
  const pipelines = new Map<string, Promise<Pipeline>>();

  const compile = async (label: string, code: string, types: readonly GPUBufferBindingType[]): Promise<Pipeline> => {
    const module = device.createShaderModule({ label, code });
    const faults = (await module.getCompilationInfo()).messages.filter(({ type }) => type === 'error');
    if (faults.length > 0)
      throw new Error(
        `its WGSL does not compile.\n${faults.map((fault) => `${fault.lineNum}:${fault.linePos} ${fault.message}`).join('\n')}`,
      );
    const layout = device.createBindGroupLayout({
      entries: types.map((type, binding) => ({ binding, visibility: STAGE_COMPUTE, buffer: { type } })),
    });
    const pipeline = await device.createComputePipelineAsync({
      label,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module },
    });
    return { layout, pipeline };
  };

  return {
    prepare({ label, code, uniforms, inputCount, outputCount }) {
      const types: GPUBufferBindingType[] = [
        ...Array<GPUBufferBindingType>(inputCount).fill('read-only-storage'),
        ...Array<GPUBufferBindingType>(outputCount).fill('storage'),
        ...(uniforms ? (['uniform'] as const) : []),
      ];
      const key = `${types.join()}\n${code}`;
      let found = pipelines.get(key);
      if (!found) {
        found = compile(label, code, types);
        pipelines.set(key, found);
      }
      return found;
    },
    submit({ pipeline, layout }, { label, workgroups, uniforms, inputs, outputs }) {
      const buffers = [...inputs, ...outputs];
      let uniformBuffer: GPUBuffer | undefined;
      if (uniforms) {
        uniformBuffer = device.createBuffer({
          size: Math.ceil(uniforms.byteLength / 16) * 16,
          usage: BUFFER_USAGE.uniform | BUFFER_USAGE.copyDst,
        });
        device.queue.writeBuffer(uniformBuffer, 0, uniforms);
        buffers.push(uniformBuffer);
      }
      const encoder = device.createCommandEncoder({ label });
      const pass = encoder.beginComputePass({ label });
      pass.setPipeline(pipeline);
      pass.setBindGroup(
        0,
        device.createBindGroup({ layout, entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })) }),
      );
      pass.dispatchWorkgroups(...workgroups);
      pass.end();
      device.queue.submit([encoder.finish()]);
      // Takes effect when the submitted commands are done with it.
      uniformBuffer?.destroy();
    },
  };
}

/** A WGSL variant with the calls that it takes; kernels of other types or sizes run by another variant. */
export interface NativeVariant extends WgslVariant<string, unknown> {
  readonly accepts: (specs: Partial<Record<string, TensorSpec>>, attributes: unknown) => boolean;
  /** The inputs in the order of their bindings, where that is not the kernel's own. */
  readonly operands?: readonly string[];
}
