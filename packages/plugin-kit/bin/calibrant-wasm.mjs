#!/usr/bin/env node
import { createHash } from 'node:crypto';
// Compiles assembly/index.ts of the package in the current folder to SIMD WebAssembly and embeds it as src/generated/wasm.ts,
// an `EmbeddedWasm` of @calibrant/core. The module imports its memory, which must be fresh (zeros, so that static scratch takes no bytes here),
// and exports `heapBase()`, above which the host puts operands.
import { mkdir, readFile, writeFile } from 'node:fs/promises';

const { default: asc } = await import('assemblyscript/asc').catch(() => {
  console.error('calibrant-wasm needs the package "assemblyscript": npm install --save-dev assemblyscript');
  process.exit(1);
});

const { name } = JSON.parse(await readFile('package.json', 'utf8'));
const { error, stderr, binary } = await compile();
if (error) {
  console.error(stderr);
  console.error(`calibrant-wasm: ${name}: ${error.message}`);
  process.exit(1);
}
const id = `${name}:${createHash('sha256').update(binary).digest('hex').slice(0, 16)}`;
await mkdir('src/generated', { recursive: true });
await writeFile(
  'src/generated/wasm.ts',
  `import type { EmbeddedWasm } from '@calibrant/core';

/** Compiled from assembly/ by calibrant-wasm. */
export const wasmModule: EmbeddedWasm = {
  id: '${id}',
  base64:
    '${Buffer.from(binary).toString('base64')}',
};
`,
);
console.log(`calibrant-wasm: ${name}: ${binary.length} bytes`);

async function compile() {
  let binary;
  const result = await asc.main(
    [
      'assembly/index.ts',
      '--outFile',
      'module.wasm',
      '-O3',
      '--runtime',
      'stub',
      '--enable',
      'simd',
      '--noAssert',
      '--importMemory',
      '--zeroFilledMemory',
    ],
    {
      writeFile(file, contents) {
        if (file.endsWith('.wasm')) binary = contents;
      },
    },
  );
  return { error: result.error, stderr: result.stderr?.toString(), binary };
}
