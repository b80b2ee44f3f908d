import { dtypeInfo, elementCount, type Kernel, type Tensor, type TypedArray } from '@calibrant/core';
import type { Plan } from './plan.js';
import { type Call, type Command, plainError } from './protocol.js';
import type { SharedStorage } from './shared-storage.js';

/** Answers a lane that came upon a kernel which only the main thread can run: functions do not travel to workers. */
export function answer(
  kernel: Kernel,
  { inputs: operands, outputs, attributes, start, end }: Call,
  data: readonly (TypedArray | undefined)[],
): Command {
  try {
    const inputs: Record<string, Tensor> = {};
    operands.forEach((operand, i) => {
      const values = data[i];
      if (operand && values) inputs[operand.name] = { dtype: operand.dtype, shape: operand.shape, data: values };
    });
    const results = kernel.reference(inputs, attributes, { start, end });
    return { op: 'answer', outputs: outputs.map(({ name }) => results[name].data) };
  } catch (error) {
    return { op: 'answer', error: plainError(error) };
  }
}

/** Runs a kernel's reference on shared buffers, chunk by chunk, letting the event loop turn in between. */
export async function referenceInMain(
  kernel: Kernel,
  plan: Plan,
  inputs: readonly (SharedStorage | undefined)[],
  outputs: readonly SharedStorage[],
) {
  for (const [start, end] of plan.chunks()) {
    const tensors: Record<string, Tensor> = {};
    plan.inputs.forEach(({ name, role }, i) => {
      const storage = inputs[i];
      if (storage) tensors[name] = part(storage, plan.split && role === 'rows', start, end);
    });
    const results = kernel.reference(tensors, plan.call.attributes, { start, end });
    plan.outputs.forEach(({ name }, i) => {
      part(outputs[i], plan.split, start, end).data.set(results[name].data as never);
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

function part({ spec, memory }: SharedStorage, cut: boolean, start: number, end: number): Tensor {
  const { array, bytes } = dtypeInfo(spec.dtype);
  if (!cut) return { ...spec, data: new array(memory, 0, elementCount(spec.shape)) };
  const shape = [end - start, ...spec.shape.slice(1)];
  return { dtype: spec.dtype, shape, data: new array(memory, start * elementCount(spec.shape.slice(1)) * bytes, elementCount(shape)) };
}
