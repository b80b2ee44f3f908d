import {
  type Backend,
  type BufferHandle,
  type ByteSink,
  type ByteSource,
  createReferenceBackend,
  createRng,
  dtypeInfo,
} from '@calibrant/core';
import { cutWindows, evaluateText, openBaseLogits, writeBaseLogits } from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';
import { tableModel } from './table-model.js';

const VOCABULARY = 211;
const LENGTH = 64;
/** One window's logits in f32. */
const LOGITS = LENGTH * VOCABULARY * 4;

/** A backend that knows the bytes of its buffers that nobody has freed yet, now and at most. */
function watched(backend: Backend): Backend & { readonly most: () => number } {
  const live = new Map<BufferHandle, number>();
  let [now, most] = [0, 0];
  const keep = <T extends BufferHandle>(handle: T): T => {
    const bytes = handle.shape.reduce((product, size) => product * size, dtypeInfo(handle.dtype).bytes);
    live.set(handle, bytes);
    now += bytes;
    most = Math.max(most, now);
    return handle;
  };
  return {
    ...backend,
    most: () => most,
    upload: async (tensor, options) => keep(await backend.upload(tensor, options)),
    run(kernel, inputs, attributes) {
      const outputs = backend.run(kernel, inputs, attributes);
      for (const handle of Object.values<BufferHandle>(outputs)) keep(handle);
      return outputs;
    },
    share: (handle) => keep(backend.share(handle)),
    free(...handles) {
      for (const handle of handles) {
        now -= (handle && live.get(handle)) ?? 0;
        if (handle) live.delete(handle);
      }
      backend.free(...handles);
    },
  };
}

/** A file that forgets what is written, and one that gives zeros: what they hold is not the matter here. */
function countingFile() {
  let largest = 0;
  let content: Uint8Array = new Uint8Array(0);
  return {
    largest: () => largest,
    async create(size: number): Promise<ByteSink> {
      content = new Uint8Array(size);
      return {
        name: 'base.logits',
        async write(offset, part) {
          largest = Math.max(largest, part.length);
          content.set(part, offset);
        },
        close: async () => {},
      };
    },
    source: (): ByteSource => ({
      name: 'base.logits',
      size: content.length,
      async read(offset, length) {
        largest = Math.max(largest, length);
        return content.slice(offset, offset + length);
      },
      close: async () => {},
    }),
  };
}

describe('memory of an evaluation', () => {
  const random = createRng(5);
  const table = Array.from({ length: VOCABULARY }, () => Array.from({ length: VOCABULARY }, () => random.normal()));
  const ids = Array.from({ length: 32 * LENGTH }, () => random.integer(VOCABULARY));

  /** Peaks while base logits are saved, and while a model is compared with them. */
  async function peaks(maxWindows: number) {
    const windows = cutWindows(ids, { protocol: `windowed-${LENGTH}`, maxWindows });
    const file = countingFile();
    const saving = watched(createReferenceBackend());
    const save = await writeBaseLogits({
      backend: saving,
      windows,
      vocabSize: VOCABULARY,
      base: { name: 'full', sha256: 'abc' },
      create: file.create,
    });
    await evaluateText({ backend: saving, model: tableModel(saving, table), windows, batchWindows: 1, save });
    const comparing = watched(createReferenceBackend());
    const base = await openBaseLogits({ backend: comparing, source: file.source(), windows });
    await evaluateText({ backend: comparing, model: tableModel(comparing, table), base, windows, batchWindows: 1 });
    return { saving: saving.most(), comparing: comparing.most(), piece: file.largest() };
  }

  it('does not grow with the text: a few windows of logits, whether they are saved or compared with', async () => {
    const [few, many] = [await peaks(3), await peaks(24)];
    expect(many.saving).toBe(few.saving);
    expect(many.comparing).toBe(few.comparing);
    expect(many.piece).toBe(few.piece);
    expect(many.saving).toBeLessThan(4 * LOGITS);
    expect(many.comparing).toBeLessThan(6 * LOGITS);
    expect(many.piece).toBeLessThan(LOGITS);
  });
});
