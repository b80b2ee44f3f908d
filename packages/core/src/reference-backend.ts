import type { Backend, BufferHandle } from './backend.js';
import { CalibrantError } from './errors.js';
import { type Kernel, splitRows } from './kernel.js';
import { byteLength, type Tensor, type TensorSpec, tensor } from './tensor.js';

/**
 * A backend that runs every kernel's plain TypeScript reference in the calling thread: slow, and right by definition.
 * Other backends are tested against it.
 */
export function createReferenceBackend(): Backend {
  const buffers = new Map<number, Tensor | CalibrantError>();
  let nextId = 1;
  let failure: unknown;

  const handle = (spec: TensorSpec, lane: number | undefined): BufferHandle => ({
    id: nextId++,
    backend: 'reference',
    lane,
    dtype: spec.dtype,
    shape: [...spec.shape],
  });
  const read = (of: BufferHandle): Tensor => {
    const found = buffers.get(of.id);
    if (!found || of.backend !== 'reference')
      throw new CalibrantError('INVALID_ARGUMENT', `Buffer ${of.id} was freed or belongs to another backend.`);
    if (found instanceof Error) throw found;
    return found;
  };

  return {
    specificationVersion: 'v1',
    name: 'reference',
    description: 'plain TypeScript reference',
    lanes: 1,
    async upload(value, { lane } = {}) {
      if (lane !== undefined && lane !== 0)
        throw new CalibrantError('INVALID_ARGUMENT', `Lane ${lane} does not exist: the reference backend has one, lane 0.`);
      const result = handle(value, lane);
      buffers.set(result.id, tensor(value.dtype, value.shape, value.data.slice()));
      return result;
    },
    async download(of) {
      const value = read(of);
      return tensor(value.dtype, value.shape, value.data.slice());
    },
    run<In extends string, Out extends string, Attributes>(
      kernel: Kernel<In, Out, Attributes>,
      inputs: { readonly [name in In]?: BufferHandle | undefined },
      attributes: Attributes,
    ) {
      const specs = checkInputs(kernel as unknown as Kernel, inputs);
      const inferred = kernel.infer(specs as Record<In, TensorSpec>, attributes);
      const lane = (Object.values(inputs) as (BufferHandle | undefined)[]).find((input) => input?.lane !== undefined)?.lane;
      const outputs = {} as Record<Out, BufferHandle>;
      for (const name of Object.keys(kernel.outputs) as Out[]) outputs[name] = handle(inferred[name], lane);
      try {
        const values = {} as Record<In, Tensor>;
        for (const [name, input] of Object.entries(inputs) as [In, BufferHandle | undefined][]) if (input) values[name] = read(input);
        const end = splitRows(kernel as unknown as Kernel, specs) ?? 0;
        const results = kernel.reference(values, attributes, { start: 0, end });
        for (const name of Object.keys(outputs) as Out[]) buffers.set(outputs[name].id, results[name]);
      } catch (error) {
        failure ??= error;
        for (const output of Object.values(outputs) as BufferHandle[]) buffers.set(output.id, error as CalibrantError);
      }
      return outputs;
    },
    share(of) {
      const result = handle(of, undefined);
      buffers.set(result.id, buffers.get(of.id) as Tensor);
      return result;
    },
    free(...handles) {
      for (const of of handles) if (of) buffers.delete(of.id);
    },
    async sync() {
      const error = failure;
      failure = undefined;
      if (error) throw error;
    },
    variant: () => 'reference',
    allocatedBytes: () => [...buffers.values()].reduce((sum, value) => sum + (value instanceof Error ? 0 : byteLength(value)), 0),
    async close() {
      buffers.clear();
    },
  };
}

/** The specs of the inputs that are present; throws when a required one is missing or an unknown one is given. */
export function checkInputs(kernel: Kernel, inputs: Readonly<Record<string, BufferHandle | undefined>>): Record<string, TensorSpec> {
  const specs: Record<string, TensorSpec> = {};
  for (const name of Object.keys(inputs))
    if (!Object.hasOwn(kernel.inputs, name)) throw new CalibrantError('INVALID_ARGUMENT', `${kernel.name} has no input "${name}".`);
  for (const [name, { optional }] of Object.entries(kernel.inputs)) {
    const input = inputs[name];
    if (input) specs[name] = { dtype: input.dtype, shape: input.shape };
    else if (!optional) throw new CalibrantError('INVALID_ARGUMENT', `${kernel.name} needs the input "${name}".`);
  }
  return specs;
}
