import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const site = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const root = path.resolve(site, '../..');

/**
 * @typedef {object} WorkspacePackage
 * @property {string} name `gptq`
 * @property {string} folder relative to the root, `packages/gptq`
 * @property {string} description
 * @property {boolean} isPrivate whether it is never published
 */

/** The order of the navigation. A package that is not named here goes to the last group. */
const GROUPS = [
  { title: 'Run it', names: ['cli', 'pipeline', 'eval', 'outliers'] },
  { title: 'Methods', names: ['rtn', 'gptq', 'smoothquant', 'awq'] },
  { title: 'Formats', names: ['gguf-format', 'gptq-format', 'awq-format', 'compressed-tensors', 'bitsandbytes-format'] },
  { title: 'Models and data', names: ['checkpoint', 'transformer', 'calibrators'] },
  { title: 'Backends', names: ['backend-cpu', 'backend-webgpu', 'kernels'] },
  { title: 'Contracts and plug-ins', names: ['core', 'plugin-kit'] },
];

/** All packages that have a page: `packages/*` and the command line. */
export function listPackages() {
  const folders = readdirSync(path.join(root, 'packages')).map((name) => `packages/${name}`);
  return [...folders, 'apps/cli'].filter((folder) => existsSync(path.join(root, folder, 'package.json'))).map(readPackage);
}

/** @param {readonly WorkspacePackage[]} packages */
export function groupPackages(packages) {
  const grouped = GROUPS.map(({ title, names }) => ({
    title,
    packages: names.flatMap((name) => packages.filter((entry) => entry.name === name)),
  }));
  const known = new Set(GROUPS.flatMap(({ names }) => names));
  return [...grouped, { title: 'More', packages: packages.filter(({ name }) => !known.has(name)) }].filter(
    (group) => group.packages.length > 0,
  );
}

/**
 * @param {string} folder
 * @returns {WorkspacePackage}
 */
function readPackage(folder) {
  const manifest = JSON.parse(readFileSync(path.join(root, folder, 'package.json'), 'utf8'));
  return { name: path.basename(folder), folder, description: manifest.description, isPrivate: manifest.private === true };
}
