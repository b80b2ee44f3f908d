import type { FileHandle } from 'node:fs/promises';

/** Writes every byte at a position; one call of the system may take only a part. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) done += (await handle.write(bytes, done, bytes.byteLength - done, offset + done)).bytesWritten;
}
