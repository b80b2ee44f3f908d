/** Bytes of a block's largest magnitude, f32, in front of its codes. */
export const ABSMAX_BYTES = 4;

export function readAbsmax({ buffer, byteOffset }: Uint8Array): number {
  return new DataView(buffer, byteOffset).getFloat32(0, true);
}

export function writeAbsmax({ buffer, byteOffset }: Uint8Array, absmax: number): void {
  new DataView(buffer, byteOffset).setFloat32(0, absmax, true);
}
