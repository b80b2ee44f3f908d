// Makes the package of a new quantizer that builds and passes the conformance suite: npm run new:quantizer -- my-method [--out FOLDER]
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const template = path.join(root, 'tools/templates/quantizer');

const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: 'string' } } });
const [name] = positionals;
if (positionals.length !== 1 || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
  fail('Give the name of the method in lower case: npm run new:quantizer -- my-method');
const target = path.resolve(values.out ?? path.join(root, 'packages', name));
if (existsSync(target)) fail(`${target} exists already. Choose another name, or remove it first.`);

const camel = name.replace(/-(.)/g, (_, letter) => letter.toUpperCase());
const core = JSON.parse(readFileSync(path.join(root, 'packages/core/package.json'), 'utf8'));
const replacements = {
  name,
  function: camel,
  Type: camel[0].toUpperCase() + camel.slice(1),
  version: core.version,
  zod: core.dependencies.zod,
  root: path.relative(target, root).split(path.sep).join('/'),
};
const fill = (text) => text.replace(/__(\w+?)__/g, (whole, key) => replacements[key] ?? whole);

copy(template, target);
console.log(`Made ${path.relative(process.cwd(), target)}. Next:
  npm install
  npm run build -w @calibrant/${name}
  npm test -w @calibrant/${name}
Then write the method into src/${name}.ts.`);

function copy(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from)) {
    const source = path.join(from, entry);
    if (statSync(source).isDirectory()) copy(source, path.join(to, entry));
    else writeFileSync(path.join(to, fill(entry).replace(/\.template$/, '')), fill(readFileSync(source, 'utf8')));
  }
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
