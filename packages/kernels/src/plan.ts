import { CalibrantError, type EmbeddedWasm, type Kernel, type OperandRole, splitRows, type TensorSpec } from '@calibrant/core';
import { CORE_KERNELS, CORE_VARIANTS } from './core-variants.js';
import type { Call, CallVariant, OutputOperand } from './protocol.js';

const CORE = new Set(CORE_KERNELS.map(({ name }) => name));

/** What a call will be, whichever lane computes which rows of it. */
export interface Plan {
  readonly call: Pick<Call, 'kernel' | 'variant' | 'attributes' | 'chunkRows'>;
  readonly inputs: readonly { readonly name: string; readonly role: OperandRole }[];
  readonly outputs: readonly (OutputOperand & TensorSpec)[];
  readonly rows: number;
  /** Whether rows can be dealt out. */
  readonly split: boolean;
  /** A plug-in's module that the lane must have. */
  readonly module?: EmbeddedWasm;
  chunks(): [start: number, end: number][];
}

/** How the lanes would run a kernel. */
export function laneVariant(kernel: Kernel, natives: ReadonlySet<string>): CallVariant['kind'] {
  if (natives.has(kernel.name)) return 'native';
  if (kernel.wasm || kernel.name in CORE_VARIANTS) return 'wasm';
  return CORE.has(kernel.name) ? 'reference' : 'main';
}

/** Everything about a call that does not depend on the lane. @throws what the kernel's `infer` throws. */
export function planCall(
  kernel: Kernel,
  specs: Readonly<Record<string, TensorSpec>>,
  attributes: unknown,
  natives: ReadonlySet<string>,
): Plan {
  const inferred = kernel.infer(specs, attributes);
  const { inputs, outputs: results } = operandsOf(kernel);
  const outputs = results.map(({ name, role }) => {
    const { dtype, shape } = inferred[name];
    return { name, role, dtype, shape };
  });
  const splittable = splitRows(kernel, specs);
  const split = splittable !== undefined;
  const leading = inputs.find(({ name, role }) => specs[name] && role === 'rows') ?? inputs.find(({ name }) => specs[name]);
  const rows = splittable ?? (leading ? (specs[leading.name].shape[0] ?? 0) : 0);
  const chunkRows = split ? unit(kernel, specs, attributes, rows) : 0;
  const { variant, module } = chooseVariant(kernel, specs, attributes, natives);
  return {
    call: { kernel: kernel.name, variant, attributes, chunkRows },
    inputs,
    outputs,
    rows,
    split,
    module,
    chunks() {
      if (!split) return [[0, rows]];
      const found: [number, number][] = [];
      for (let start = 0; start < rows || start === 0; start += chunkRows) found.push([start, Math.min(rows, start + chunkRows)]);
      return found;
    },
  };
}

type Operands = readonly { readonly name: string; readonly role: OperandRole }[];

const known = new WeakMap<Kernel, { readonly inputs: Operands; readonly outputs: Operands }>();

/** The operands in the order in which the kernel declares them. */
function operandsOf(kernel: Kernel): { readonly inputs: Operands; readonly outputs: Operands } {
  let found = known.get(kernel);
  if (!found) {
    const list = (operands: Readonly<Record<string, { readonly role: OperandRole }>>) =>
      Object.entries(operands).map(([name, { role }]) => ({ name, role }));
    found = { inputs: list(kernel.inputs), outputs: list(kernel.outputs) };
    known.set(kernel, found);
  }
  return found;
}

function unit(kernel: Kernel, specs: Readonly<Record<string, TensorSpec>>, attributes: unknown, rows: number): number {
  const wanted = kernel.chunkRows?.(specs, attributes) ?? Math.max(1, rows);
  if (!(Number.isInteger(wanted) && wanted > 0))
    throw new CalibrantError('INVALID_ARGUMENT', `${kernel.name}: chunkRows must be a whole number above 0, found ${wanted}.`);
  return wanted;
}

function chooseVariant(
  kernel: Kernel,
  specs: Readonly<Record<string, TensorSpec>>,
  attributes: unknown,
  natives: ReadonlySet<string>,
): { variant: CallVariant; module?: EmbeddedWasm } {
  const kind = laneVariant(kernel, natives);
  if (kind !== 'wasm') return { variant: { kind } };
  if (kernel.wasm) {
    const { module, function: name, scalars } = kernel.wasm;
    const chosen = typeof name === 'string' ? name : name(attributes);
    return { variant: { kind, module: module.id, function: chosen, scalars: [...scalars(specs, attributes)] }, module };
  }
  const chosen = CORE_VARIANTS[kernel.name](specs, attributes);
  return { variant: chosen ? { kind, ...chosen } : { kind: 'reference' } };
}
