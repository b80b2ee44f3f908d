import { elementCount, type GpuJsVariant, type Kernel, type TensorSpec } from '@calibrant/core';
import type { SharedDevice } from '../device.js';
import { bindGpuJs, type GpuJsBuffer, type GpuJsContext, type GpuJsInstance, type GpuJsKernel, gpuJs } from './shared.js';

/** A variant whose output functions call further ones: these take and return numbers, and are translated along with them. */
export interface GpuJsVariantWithFunctions<In extends string, Out extends string, Attributes> extends GpuJsVariant<In, Out, Attributes> {
  readonly functions?: readonly ((...values: number[]) => number)[];
}

/** One output of a gpu.js variant, ready to be called. */
export interface PreparedOutput {
  /** Submits the kernel; the result is valid until the next call of the same function. */
  run(): Promise<GpuJsBuffer>;
}

export interface GpuJsRunner {
  /** Translates and compiles a variant's function unless that was done before. `inputs` are f32 buffers on the device. */
  prepare(
    kernel: Kernel,
    variant: GpuJsVariantWithFunctions<string, string, unknown>,
    output: { readonly name: string; readonly spec: TensorSpec },
    inputs: readonly { readonly name: string; readonly spec: TensorSpec; readonly buffer: GPUBuffer }[],
    attributes: unknown,
  ): Promise<PreparedOutput>;
  close(): void;
}

/** `[columns, rows]` as gpu.js counts them: x first. */
export function gpuJsSize(shape: readonly number[]): [number, number] {
  const columns = shape.length > 1 ? elementCount(shape.slice(1)) : (shape[0] ?? 1);
  return [columns, shape.length > 1 ? shape[0] : 1];
}

/** Runs gpu.js kernels on buffers of our device without a copy through the host. */
export function createGpuJsRunner({ adapter, device }: SharedDevice): GpuJsRunner {
  let bound: Promise<{ gpu: GpuJsInstance; context: GpuJsContext }> | undefined;
  const kernels = new Map<string, GpuJsKernel>();

  return {
    async prepare(kernel, variant, output, inputs, attributes) {
      bound ??= bindGpuJs(adapter, device);
      const { gpu, context } = await bound;
      const specs = Object.fromEntries(inputs.map(({ name, spec }) => [name, spec]));
      const source = variant.outputs(specs, attributes)[output.name].toString();
      const scalars = variant.scalars(specs, attributes);
      const key = `${kernel.name}.${output.name}(${inputs.map(({ name }) => name)})${source}`;
      const size = gpuJsSize(output.spec.shape);
      const values = [
        ...inputs.map(({ buffer, spec }) => {
          const [columns, rowCount] = gpuJsSize(spec.shape);
          return new gpuJs.WebGPUBufferResult({ buffer, output: spec.shape.length > 1 ? [columns, rowCount] : [columns], context });
        }),
        ...scalars,
      ];
      let compiled = kernels.get(key);
      if (!compiled) {
        compiled = gpu.createKernel(source, {
          output: size,
          pipeline: true,
          dynamicOutput: true,
          dynamicArguments: true,
          functions: (variant.functions ?? []).map((called) => ({
            source: called.toString(),
            settings: { argumentTypes: Array(called.length).fill('Number'), returnType: 'Number' },
          })),
          argumentTypes: [...inputs.map(() => 'WebGPUBuffer'), ...scalars.map(() => 'Float')],
          // gpu.js bounds every loop; ours run over the columns of a row.
          loopMaxIterations: 2 ** 30,
        });
        await compiled.build(...values);
        kernels.set(key, compiled);
      }
      const ready = compiled;
      return {
        run() {
          ready.setOutput(size);
          return ready(...values);
        },
      };
    },
    close() {
      for (const kernel of kernels.values()) kernel.destroy();
      kernels.clear();
    },
  };
}
