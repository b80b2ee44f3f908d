// Checks the rules of the workspace that no other tool knows: who may import whom, which packages stay free of Node, what each package must have.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { root } from './setup.mjs';

/** Packages of ours that a package's source may import. Methods and formats import core alone; formats that are folders of safetensors share `checkpoint`. */
const MAY_IMPORT = {
  core: [],
  kernels: ['core'],
  'backend-cpu': ['core', 'kernels'],
  'backend-webgpu': ['core', 'kernels'],
  'awq-format': ['core', 'checkpoint'],
  'bitsandbytes-format': ['core', 'checkpoint'],
  'compressed-tensors': ['core', 'checkpoint'],
  'gptq-format': ['core', 'checkpoint'],
  'plugin-kit': ['core'],
  pipeline: ['core', 'calibrators', 'checkpoint', 'eval', 'outliers', 'report', 'transformer'],
};
const NODE_ALLOWED = new Set(['backend-cpu', 'pipeline', 'plugin-kit', 'tiny-llama']);
const MAX_LINES = 300;
const faults = [];

for (const name of readdirSync(path.join(root, 'packages'))) {
  const folder = path.join(root, 'packages', name);
  const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  if (!existsSync(path.join(folder, 'README.md'))) faults.push(`packages/${name}: README.md is missing`);
  if (!manifest.description) faults.push(`packages/${name}: package.json has no description`);
  if (!manifest.private && !existsSync(path.join(folder, 'test'))) faults.push(`packages/${name}: has no tests`);
  const allowed = new Set(MAY_IMPORT[name] ?? ['core']);
  for (const file of sources(path.join(folder, 'src'))) checkFile(file, name, allowed, manifest);
  for (const file of sources(path.join(folder, 'test'))) checkLength(file, readFileSync(file, 'utf8'));
}
checkApp('apps/cli');

for (const fault of faults) console.error(fault);
console.log(faults.length === 0 ? 'structure: no fault' : `structure: ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);

/** An app may import every package, but declares what it imports and nothing else. */
function checkApp(app) {
  const folder = path.join(root, app);
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const imported = new Set();
  for (const file of sources(path.join(folder, 'src'))) {
    const text = readFileSync(file, 'utf8');
    checkLength(file, text);
    for (const specifier of importsOf(text)) if (!/^([.#]|node:)/.test(specifier)) imported.add(packageOf(specifier));
  }
  for (const file of sources(path.join(folder, 'test'))) checkLength(file, readFileSync(file, 'utf8'));
  const declared = { ...dependencies, ...optionalDependencies };
  for (const name of imported) if (!(name in declared)) faults.push(`${app}: imports ${name}, which package.json does not declare`);
  for (const name of Object.keys(declared))
    if (!imported.has(name)) faults.push(`${app}: package.json declares ${name}, which nothing imports`);
}

function importsOf(text) {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '');
  return [...code.matchAll(/(?<!['\w])(?:from|import)\s*\(?\s*'([^'\n]+)'/g)].map(([, specifier]) => specifier);
}

function packageOf(specifier) {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function checkFile(file, name, allowed, manifest) {
  const text = readFileSync(file, 'utf8');
  const where = path.relative(root, file);
  checkLength(file, text);
  for (const specifier of importsOf(text)) {
    if (/^[.#]/.test(specifier)) continue;
    const ours = /^@calibrant\/([^/]+)(\/.*)?$/.exec(specifier);
    if (ours?.[2]) faults.push(`${where}: deep import of ${specifier}`);
    if (ours && ours[1] !== name && !allowed.has(ours[1])) faults.push(`${where}: @calibrant/${name} may not import ${specifier}`);
    if (specifier.startsWith('node:') && !NODE_ALLOWED.has(name) && !/\.node\.ts$/.test(file))
      faults.push(`${where}: imports ${specifier}; only files named *.node.ts may`);
    const dependency = packageOf(specifier);
    const declared = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies };
    if (!specifier.startsWith('node:') && dependency !== manifest.name && !(dependency in declared))
      faults.push(`${where}: imports ${dependency}, which package.json does not declare`);
  }
}

function checkLength(file, text) {
  const lines = text.trimEnd().split('\n').length;
  if (lines > MAX_LINES && !/generated|\.data\.ts$/.test(file))
    faults.push(`${path.relative(root, file)}: ${lines} lines, split it by idea (at most ${MAX_LINES})`);
}

function sources(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((entry) => {
    const file = path.join(folder, entry);
    if (statSync(file).isDirectory()) return sources(file);
    return /\.ts$/.test(entry) ? [file] : [];
  });
}
