import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CalibrantError, throwIfAborted } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

describe('CalibrantError', () => {
  it('carries a code, details and a cause', () => {
    const cause = new Error('inner');
    const error = new CalibrantError('CORRUPT_FILE', 'It is broken.', { file: 'model.safetensors', offset: 8, cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'CalibrantError',
      code: 'CORRUPT_FILE',
      message: 'It is broken.',
      details: { file: 'model.safetensors', offset: 8 },
    });
    expect(error.cause).toBe(cause);
    expect('cause' in new CalibrantError('IO', 'x')).toBe(false);
  });

  it('is recognized across two copies of the package', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'calibrant-core-'));
    try {
      const dist = dirname(createRequire(import.meta.url).resolve('@calibrant/core'));
      await copyFile(join(dist, 'errors.js'), join(folder, 'errors.js'));
      await writeFile(join(folder, 'package.json'), '{"type":"module"}');
      const other = (await import(join(folder, 'errors.js'))) as { CalibrantError: typeof CalibrantError };
      const foreign = new other.CalibrantError('IO', 'elsewhere');
      expect(other.CalibrantError).not.toBe(CalibrantError);
      expect(foreign instanceof CalibrantError).toBe(false);
      expect(CalibrantError.isInstance(foreign)).toBe(true);
      expect(other.CalibrantError.isInstance(new CalibrantError('IO', 'here'))).toBe(true);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is not seen in anything else', () => {
    for (const value of [undefined, null, 'CalibrantError', new Error('x'), { name: 'CalibrantError', code: 'IO' }, 7])
      expect(CalibrantError.isInstance(value)).toBe(false);
  });
});

describe('throwIfAborted', () => {
  it('throws ABORTED with the reason once the signal has fired', () => {
    const controller = new AbortController();
    throwIfAborted(undefined);
    throwIfAborted(controller.signal);
    controller.abort('enough');
    expect(() => throwIfAborted(controller.signal)).toThrow(expect.objectContaining({ code: 'ABORTED', cause: 'enough' }));
  });
});
