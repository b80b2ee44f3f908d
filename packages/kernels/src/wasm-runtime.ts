/** The part of `WebAssembly.Memory` that lanes use; declared here, so that no DOM types are needed. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** Numbers in, a number out: what AssemblyScript exports without its loader. */
export type WasmExports = Readonly<Record<string, (...values: number[]) => number>>;

interface Runtime {
  readonly Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: WasmExports };
}

const runtime = (globalThis as unknown as { readonly WebAssembly: Runtime }).WebAssembly;

/** Bytes per page of WebAssembly memory. */
export const PAGE = 65536;

/** A memory that can grow to the 4 GiB of 32-bit addresses. */
export function createMemory(initialPages: number): WasmMemory {
  return new runtime.Memory({ initial: initialPages, maximum: 65536 });
}

/** Compiles and instantiates an embedded module over a memory. */
export function instantiate(base64: string, memory: WasmMemory): WasmExports {
  const module = new runtime.Module(decodeBase64(base64));
  return new runtime.Instance(module, { env: { memory } }).exports;
}

function decodeBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
