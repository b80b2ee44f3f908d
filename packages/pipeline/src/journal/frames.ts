import { type FileHandle, open } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';

/** A file of values one after the other, each with its length before it. */
export interface FrameWriter {
  append(value: unknown): Promise<void>;
  /** Bytes so far, on the disk for certain. */
  flush(): Promise<number>;
  close(): Promise<void>;
}

/** Opens a file of frames for writing; what lies behind `keep` bytes is cut off. */
export async function appendFrames(file: string, keep = 0): Promise<FrameWriter> {
  const handle = await open(file, keep > 0 ? 'r+' : 'w');
  await handle.truncate(keep);
  let position = keep;
  let queue: Promise<void> = Promise.resolve();
  const write = async (bytes: Uint8Array): Promise<void> => {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position);
      done += bytesWritten;
      position += bytesWritten;
    }
  };
  return {
    append(value) {
      const body = serialize(value);
      const head = Buffer.alloc(8);
      head.writeBigUInt64LE(BigInt(body.length));
      queue = queue.then(() => write(head)).then(() => write(body));
      return queue;
    },
    async flush() {
      await queue;
      await handle.datasync();
      return position;
    },
    async close() {
      await queue.catch(() => {});
      await handle.close();
    },
  };
}

/** The values of a file of frames, one in memory at a time, up to `bytes`. */
export async function* readFrames(file: string, bytes: number): AsyncGenerator<unknown> {
  const handle = await open(file, 'r');
  try {
    for (let position = 0; position < bytes; ) {
      const head = await readExactly(handle, position, 8);
      const length = Number(head.readBigUInt64LE());
      if (position + 8 + length > bytes) throw new Error('A frame is longer than the file.');
      yield deserialize(await readExactly(handle, position + 8, length));
      position += 8 + length;
    }
  } finally {
    await handle.close();
  }
}

async function readExactly(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw new Error('The file ends within a frame.');
    done += bytesRead;
  }
  return bytes;
}
