import {
  byteLength,
  type CalibrantError,
  dtypeInfo,
  elementCount,
  type Kernel,
  splitRows,
  type Tensor,
  type TensorSpec,
  tensor,
} from '@calibrant/core';
import type { SharedDevice } from './device.js';
import { captureErrors } from './device-errors.js';
import { createGpuJsRunner } from './gpujs/runner.js';
import { createStaging } from './staging.js';
import { createBufferPool, paddedSize } from './storage.js';
import type { Choice } from './variants.js';
import { type Cast, castable, castFromF32, castToF32 } from './wgsl/cast.js';

/** A tensor on the device. */
export interface Operand {
  readonly name: string;
  readonly spec: TensorSpec;
  readonly buffer: GPUBuffer;
}

export interface Call {
  readonly kernel: Kernel;
  readonly attributes: unknown;
  readonly inputs: readonly Operand[];
  readonly outputs: readonly Operand[];
}

/** What the device found wrong with submitted commands, once it knows; wrapped, so that awaiting the submission does not await it. */
export interface Submitted {
  readonly settled: Promise<CalibrantError | undefined>;
}

/** Carries out single operations in the order in which it is called; the caller awaits each before the next. */
export interface Executor {
  readonly pool: ReturnType<typeof createBufferPool>;
  readonly staging: ReturnType<typeof createStaging>;
  run(choice: Choice, call: Call): Promise<Submitted>;
  close(): void;
}

export function createExecutor(shared: SharedDevice): Executor {
  const { device, dispatcher } = shared;
  const pool = createBufferPool(device);
  const staging = createStaging(device);
  const gpuJs = createGpuJsRunner(shared);

  async function runWgsl(choice: Choice & { kind: 'native' | 'wgsl' }, { kernel, attributes, inputs, outputs }: Call): Promise<Submitted> {
    const { variant } = choice;
    const specs = Object.fromEntries(inputs.map(({ name, spec }) => [name, spec]));
    const ordered = variant.operands?.flatMap((name) => inputs.filter((input) => input.name === name)) ?? inputs;
    const code = variant.code(specs, attributes);
    const uniforms = variant.uniforms?.(specs, attributes);
    const label = kernel.name;
    const pipeline = await dispatcher.prepare({ label, code, uniforms, inputCount: ordered.length, outputCount: outputs.length });
    return {
      settled: captureErrors(device, label, () =>
        dispatcher.submit(pipeline, {
          label,
          code,
          uniforms,
          workgroups: variant.workgroups(specs, attributes),
          inputs: ordered.map(({ buffer }) => buffer),
          outputs: outputs.map(({ buffer }) => buffer),
        }),
      ),
    };
  }

  async function submitCast(label: string, cast: Cast, source: GPUBuffer, target: GPUBuffer): Promise<Submitted> {
    const pipeline = await dispatcher.prepare({ label, code: cast.code, uniforms: cast.uniforms, inputCount: 1, outputCount: 1 });
    return {
      settled: captureErrors(device, label, () => dispatcher.submit(pipeline, { label, ...cast, inputs: [source], outputs: [target] })),
    };
  }

  /** gpu.js knows f32 alone: other types are converted on the device on the way in and out. */
  async function runGpuJs(choice: Choice & { kind: 'gpujs' }, { kernel, attributes, inputs, outputs }: Call): Promise<Submitted> {
    const converted: GPUBuffer[] = [];
    const pending: Submitted[] = [];
    try {
      const arguments_: Operand[] = [];
      for (const input of inputs) {
        if (input.spec.dtype === 'f32') {
          arguments_.push(input);
          continue;
        }
        const count = elementCount(input.spec.shape);
        const buffer = pool.take(paddedSize(count * 4));
        converted.push(buffer);
        pending.push(await submitCast(`${kernel.name}: ${input.name} to f32`, castToF32(input.spec.dtype, count), input.buffer, buffer));
        arguments_.push({ ...input, buffer });
      }
      for (const output of outputs) {
        const prepared = await gpuJs.prepare(kernel, choice.variant, output, arguments_, attributes);
        let running: ReturnType<typeof prepared.run> | undefined;
        pending.push({
          settled: captureErrors(device, kernel.name, () => {
            running = prepared.run();
          }),
        });
        const result = await running;
        if (!result) continue;
        const count = elementCount(output.spec.shape);
        if (output.spec.dtype === 'f32')
          pending.push({
            settled: captureErrors(device, kernel.name, () => {
              const encoder = device.createCommandEncoder();
              encoder.copyBufferToBuffer(result.buffer, 0, output.buffer, 0, count * 4);
              device.queue.submit([encoder.finish()]);
            }),
          });
        else
          pending.push(
            await submitCast(
              `${kernel.name}: ${output.name} from f32`,
              castFromF32(output.spec.dtype, count),
              result.buffer,
              output.buffer,
            ),
          );
        result.delete();
      }
    } finally {
      for (const buffer of converted) pool.give(buffer);
    }
    return { settled: Promise.all(pending.map(({ settled }) => settled)).then((errors) => errors.find((error) => error !== undefined)) };
  }

  async function runReference({ kernel, attributes, inputs, outputs }: Call): Promise<Submitted> {
    const values: Record<string, Tensor> = {};
    for (const { name, spec, buffer } of inputs) values[name] = await download(spec, buffer);
    const specs = Object.fromEntries(inputs.map(({ name, spec }) => [name, spec]));
    const results = kernel.reference(values, attributes, { start: 0, end: splitRows(kernel, specs) ?? 0 });
    for (const { name, buffer } of outputs) await staging.upload(buffer, bytesOf(results[name]));
    return { settled: Promise.resolve(undefined) };
  }

  async function download(spec: TensorSpec, buffer: GPUBuffer): Promise<Tensor> {
    const bytes = new Uint8Array(byteLength(spec));
    await staging.download(buffer, bytes);
    return tensor(spec.dtype, spec.shape, new (dtypeInfo(spec.dtype).array)(bytes.buffer));
  }

  return {
    pool,
    staging,
    run(choice, call) {
      // Nothing to compute, and a dispatch of no workgroups or a buffer of no elements is an error on some devices.
      if (call.outputs.every(({ spec }) => elementCount(spec.shape) === 0)) return Promise.resolve({ settled: Promise.resolve(undefined) });
      if (choice.kind === 'reference') return runReference(call);
      if (choice.kind !== 'gpujs') return runWgsl(choice, call);
      const fits = (operands: readonly Operand[], direction: 'in' | 'out'): boolean =>
        operands.every(({ spec }) => castable(spec.dtype, direction) && elementCount(spec.shape) > 0);
      return fits(call.inputs, 'in') && fits(call.outputs, 'out') ? runGpuJs(choice, call) : runReference(call);
    },
    close() {
      gpuJs.close();
      staging.close();
      pool.clear();
    },
  };
}

/** The tensor's memory, not a copy. */
export function bytesOf({ data }: Tensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
