import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpuBackend, createCpuBackend } from '@calibrant/backend-cpu';
import { CalibrantError, matmul, parseOptions, scale, tensor } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

const root = fileURLToPath(new URL('..', import.meta.url));

function runScript(script: string, cwd: string) {
  return spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd, encoding: 'utf8', timeout: 30000 });
}

describe('createCpuBackend', () => {
  it('describes its lanes and engine', async () => {
    for (const [gemm, engine] of [
      ['onnxruntime', /^CPU, 1 lane, onnxruntime \d+\.\d+\.\d+$/],
      ['wasm', /^CPU, 1 lane, WebAssembly$/],
    ] as const) {
      const backend = createCpuBackend({ threads: 1, gemm });
      expect(backend.description).toMatch(engine);
      await backend.close();
    }
  });

  it('refuses a number of threads that is no positive whole number', () => {
    for (const threads of [0, -1, 1.5, Number.NaN]) expect(() => createCpuBackend({ threads })).toThrow('whole number from 1 to 256');
  });

  it('says which variant would run a kernel', async () => {
    const backend = createCpuBackend({ threads: 1 });
    expect([backend.variant(scale as never), backend.variant({ ...scale, name: 'core.matmul' } as never)]).toEqual(['wasm', 'native']);
    await backend.close();
  });

  it('says OUT_OF_MEMORY when a lane cannot hold a result, and goes on working', async () => {
    const backend = createCpuBackend({ threads: 1 });
    const x = await backend.upload(tensor('f32', [60000, 1], new Float32Array(60000).fill(1)), { lane: 0 });
    const huge = backend.run(matmul, { a: x, b: x }, { transposeB: true }).y;
    const error = await backend.download(huge).catch((thrown) => thrown);
    expect(CalibrantError.isInstance(error) && error.code).toBe('OUT_OF_MEMORY');
    expect((await backend.download(backend.run(scale, { x }, { scale: 2 }).y)).data[59999]).toBe(2);
    await backend.close();
  });

  it('does not keep an idle process alive', () => {
    const script = `
      import { createCpuBackend } from '@calibrant/backend-cpu';
      import { scale, tensor } from '@calibrant/core';
      const backend = createCpuBackend({ threads: 2 });
      const x = await backend.upload(tensor('f32', [2], Float32Array.of(1, 2)), { lane: 1 });
      console.log((await backend.download(backend.run(scale, { x }, { scale: 3 }).y)).data.join());`;
    const { status, stdout, stderr } = runScript(script, root);
    expect([stderr, stdout.trim(), status]).toEqual(['', '3,6', 0]);
  });
});

describe('without onnxruntime-node', () => {
  it('multiplies by WebAssembly, and says what to install when onnxruntime is asked for', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'calibrant-no-ort-'));
    try {
      const modules = path.join(folder, 'node_modules');
      await mkdir(path.join(modules, '@calibrant'), { recursive: true });
      await cp(path.join(root, 'dist'), path.join(modules, '@calibrant/backend-cpu/dist'), { recursive: true });
      await cp(path.join(root, 'package.json'), path.join(modules, '@calibrant/backend-cpu/package.json'));
      const require = createRequire(import.meta.url);
      for (const name of ['@calibrant/core', '@calibrant/kernels', 'zod'])
        await symlink(path.dirname(require.resolve(`${name}/package.json`)), path.join(modules, name));
      const script = `
        import { createCpuBackend } from '@calibrant/backend-cpu';
        import { linear, tensor } from '@calibrant/core';
        const backend = createCpuBackend({ threads: 1 });
        const x = await backend.upload(tensor('f32', [1, 2], Float32Array.of(3, 4)));
        const { data } = await backend.download(backend.run(linear, { x, w: x }, {}).y);
        console.log(backend.description, data[0]);
        try { createCpuBackend({ gemm: 'onnxruntime' }); } catch (error) { console.log(error.code, error.details.option); }`;
      const { stdout, stderr } = runScript(script, folder);
      expect([stderr, stdout.trim().split('\n')]).toEqual(['', ['CPU, 1 lane, WebAssembly 25', 'MISSING_DEPENDENCY gemm']]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('the plug-in', () => {
  it('makes a backend by its options', async () => {
    const plugin = cpuBackend({ threads: 1 });
    expect([plugin.kind, plugin.name, await plugin.available()]).toEqual(['backend', 'cpu', true]);
    const backend = await plugin.create(parseOptions(plugin.options, { gemm: 'wasm' }, 'backend'));
    expect(backend.description).toBe('CPU, 1 lane, WebAssembly');
    await backend.close();
  });

  it('refuses unknown options and names the nearest', () => {
    expect(() => parseOptions(cpuBackend().options, { thread: 2 }, 'backend')).toThrow('Did you mean "threads"?');
  });

  it('closes in the midst of products, whose results nobody waits for any more', () => {
    const script = `
      import { createCpuBackend } from '@calibrant/backend-cpu';
      import { matmul, tensor } from '@calibrant/core';
      for (let i = 0; i < 12; i++) {
        const backend = createCpuBackend({ threads: 2 });
        const x = await backend.upload(tensor('f32', [64, 64]));
        for (let k = 0; k < 400; k++) backend.free(backend.run(matmul, { a: x, b: x }, {}).y);
        const late = backend.download(backend.run(matmul, { a: x, b: x }, {}).y).catch(({ code }) => code);
        await new Promise((resolve) => setTimeout(resolve, i < 4 ? i : 150 + 5 * i));
        await backend.close();
        if (i === 0) console.log(await late);
      }
      console.log('closed');`;
    const { status, stdout, stderr } = runScript(script, root);
    expect([stderr, stdout.trim(), status]).toEqual(['', 'INVALID_ARGUMENT\nclosed', 0]);
  });
});
