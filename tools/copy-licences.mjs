// Every published package carries the licence: copies it and the notice into the package folders. Run by `npm run version`.
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './setup.mjs';

for (const parent of ['packages', 'apps'])
  for (const name of readdirSync(path.join(root, parent))) {
    const folder = path.join(root, parent, name);
    if (JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')).private) continue;
    for (const file of ['LICENSE', 'NOTICE']) copyFileSync(path.join(root, file), path.join(folder, file));
  }
