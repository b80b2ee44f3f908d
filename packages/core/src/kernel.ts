import type { Tensor, TensorSpec } from './tensor.js';

/**
 * How an operand takes part when work is split:
 * `rows` is cut along its first axis into chunks that are computed independently,
 * `whole` is seen entire by every chunk.
 */
export type OperandRole = 'rows' | 'whole';

export interface InputSpec {
  readonly role: OperandRole;
  readonly optional?: boolean;
}

/** The rows `[start, end)` of the split operands that a call computes; `[0, rows)` when nothing is split. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** A WebAssembly module that a package embeds (made by `calibrant-wasm` of `@calibrant/plugin-kit`). */
export interface EmbeddedWasm {
  /** Unique name, so that a worker compiles a module once. */
  readonly id: string;
  readonly base64: string;
}

/**
 * The fast CPU variant. The export is called as
 * `fn(rows: i32, ...inputPointers, ...outputPointers, ...scalars)`: pointers in the order in which the kernel declares
 * its operands (0 for an absent optional input), 16-byte aligned. The module imports its memory as `env.memory`, is built
 * with the `stub` or `minimal` runtime and may allocate above `__heap_base`; the host lays operands out behind that.
 */
export interface WasmVariant<In extends string, Attributes> {
  readonly module: EmbeddedWasm;
  readonly function: string | ((attributes: Attributes) => string);
  readonly scalars: (specs: Partial<Record<In, TensorSpec>>, attributes: Attributes) => readonly number[];
}

/**
 * A WGSL variant with the entry point `main`. Bindings of group 0: the inputs that are present (`var<storage, read>`), then the outputs
 * (`var<storage, read_write>`), then (if `uniforms` gives any) one `var<uniform>` buffer, a multiple of 16 bytes long. Types of less than
 * 32 bits are packed little-endian into `array<u32>`.
 */
export interface WgslVariant<In extends string, Attributes> {
  readonly code: (specs: Partial<Record<In, TensorSpec>>, attributes: Attributes) => string;
  readonly workgroups: (specs: Partial<Record<In, TensorSpec>>, attributes: Attributes) => readonly [number, number, number];
  readonly uniforms?: (specs: Partial<Record<In, TensorSpec>>, attributes: Attributes) => ArrayBuffer;
}

/**
 * A gpu.js variant for kernels whose output elements are independent. For each output one plain function
 * `(this: {thread: {x, y}}, ...inputs, ...scalars: number[]) => number` that computes row `this.thread.y`, column `this.thread.x`.
 * Inputs with one axis are `number[]`, others `number[][]` of `[first axis][all further axes]`, and outputs are cut likewise; absent
 * optional inputs are left out of the argument list. It is translated from its source text, so it may use only its arguments, `Math` and
 * constants; all numbers are f32, integers exact up to 2^24.
 */
export interface GpuJsVariant<In extends string, Out extends string, Attributes> {
  readonly scalars: (specs: Partial<Record<In, TensorSpec>>, attributes: Attributes) => readonly number[];
  readonly outputs: (specs: Partial<Record<In, TensorSpec>>, attributes: Attributes) => Readonly<Record<Out, Function>>;
}

/**
 * One operation on tensors: a plain TypeScript reference that defines it, and any faster variants, each of which is
 * tested against the reference. Backends run kernels; a plug-in brings its own.
 *
 * @typeParam In names of the inputs
 * @typeParam Out names of the outputs
 * @typeParam Attributes plain JSON options of one call
 */
export interface Kernel<In extends string = string, Out extends string = string, Attributes = unknown> {
  readonly specificationVersion: 'v1';
  /** `package.operation`, e.g. `core.rmsNorm`, `gguf.encodeQ4K`. */
  readonly name: string;
  readonly inputs: Readonly<Record<In, InputSpec>>;
  readonly outputs: Readonly<Record<Out, { readonly role: OperandRole }>>;
  /** Output types and shapes. Throws `SHAPE_MISMATCH` when the inputs do not fit; runs before anything is queued. */
  readonly infer: (specs: Record<In, TensorSpec>, attributes: Attributes) => Record<Out, TensorSpec>;
  /** Computes the rows `range`; `rows` operands are already cut to that range. Must not change its inputs. */
  readonly reference: (inputs: Record<In, Tensor>, attributes: Attributes, range: RowRange) => Record<Out, Tensor>;
  /** Rows per independent unit of work. Fixed by shapes and attributes alone, so that results do not depend on the thread count. */
  readonly chunkRows?: (specs: Record<In, TensorSpec>, attributes: Attributes) => number;
  readonly wasm?: WasmVariant<In, Attributes>;
  readonly wgsl?: WgslVariant<In, Attributes>;
  readonly gpujs?: GpuJsVariant<In, Out, Attributes>;
}

/** Checks and freezes a kernel. */
export function defineKernel<In extends string, Out extends string, Attributes>(
  kernel: Omit<Kernel<In, Out, Attributes>, 'specificationVersion'>,
): Kernel<In, Out, Attributes> {
  return Object.freeze({ specificationVersion: 'v1' as const, ...kernel });
}

/** The row count of the split operands, and whether there are any. */
export function splitRows(kernel: Kernel, specs: Partial<Record<string, TensorSpec>>): number | undefined {
  if (!Object.values(kernel.outputs).every((output) => output.role === 'rows')) return undefined;
  for (const [name, input] of Object.entries(kernel.inputs)) {
    const spec = specs[name];
    if (input.role === 'rows' && spec) return spec.shape[0] ?? 0;
  }
  return undefined;
}
