import { CalibrantError } from '@calibrant/core';
import type { Lane } from './lane.js';
import type { LaneBuffer } from './lane-memory.js';
import type { Call } from './protocol.js';

/** Computes a call whose operands are at hand, by the variant that the main thread chose. */
export function runCall(
  lane: Lane,
  call: Call,
  inputs: readonly (LaneBuffer | undefined)[],
  outputs: readonly LaneBuffer[],
): void | Promise<void> {
  const { variant, attributes, start, end } = call;
  switch (variant.kind) {
    case 'native':
      return lane.natives[call.kernel]({
        lane: lane.memory,
        inputs: named(call.inputs, inputs),
        outputs: named(call.outputs, outputs),
        attributes,
        range: { start, end },
      });
    case 'wasm': {
      if (variant.module !== undefined) return lane.module(variant.module).call(lane.memory, call, variant, inputs, outputs);
      const addresses = [...inputs, ...outputs].map((buffer) => buffer?.address ?? 0);
      try {
        lane.memory.wasm[variant.function](end - start, ...addresses, ...variant.scalars);
      } catch (cause) {
        // The functions trap on purpose in one case alone: an index operand that points outside of what it indexes.
        throw new CalibrantError('INVALID_ARGUMENT', `${call.kernel}: an index among the inputs is out of range.`, { cause });
      }
      return;
    }
    case 'reference': {
      const tensors = named(
        call.inputs,
        inputs.map((buffer) => buffer && lane.memory.tensor(buffer)),
      );
      const results = lane.references.get(call.kernel)!.reference(tensors as never, attributes, { start, end });
      for (let i = 0; i < outputs.length; i++) lane.memory.view(outputs[i]).set(results[call.outputs[i].name].data as never);
      return;
    }
    case 'main': {
      const copies = inputs.map((buffer) => buffer && lane.memory.view(buffer).slice());
      return lane.askMain(call, copies).then((results) => {
        for (let i = 0; i < outputs.length; i++) lane.memory.view(outputs[i]).set(results[i] as never);
      });
    }
  }
}

function named<T>(operands: readonly ({ readonly name: string } | undefined)[], values: readonly T[]): Record<string, T> {
  const result: Record<string, T> = {};
  for (let i = 0; i < operands.length; i++) {
    const operand = operands[i];
    if (operand) result[operand.name] = values[i];
  }
  return result;
}
