// publint and are-the-types-wrong on what each public package would publish.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from './setup.mjs';

const folders = ['packages', 'apps'].flatMap((parent) => readdirSync(path.join(root, parent)).map((name) => path.join(root, parent, name)));
const scratch = mkdtempSync(path.join(tmpdir(), 'calibrant-pack-'));
let failed = 0;

for (const folder of folders) {
  const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  if (manifest.private) continue;
  const [{ filename, files }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
  const packed = files.map(({ path: name }) => name);
  for (const needed of ['LICENSE', 'README.md', 'package.json'])
    if (!packed.includes(needed)) {
      failed++;
      console.error(`${manifest.name} would be published without ${needed}`);
    }
  const tarball = path.join(scratch, filename.replace('@', '').replace('/', '-'));
  const checks = [
    ['publint', ['node_modules/publint/src/cli.js', 'run', folder, '--strict', '--pack', 'npm']],
    ['attw', ['node_modules/@arethetypeswrong/cli/dist/index.js', tarball, '--profile', 'esm-only', '--no-emoji', '--format', 'ascii']],
  ];
  for (const [name, args] of checks) {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    if (status === 0) continue;
    failed++;
    console.error(`${name} found faults in ${manifest.name}:\n${stdout}${stderr}`);
  }
}
rmSync(scratch, { recursive: true, force: true });
console.log(failed === 0 ? 'packages: publint and attw found no fault' : `packages: ${failed} checks failed`);
process.exit(failed === 0 ? 0 : 1);
