import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generateApiReference } from './api-reference.mjs';
import { rewriteLinks } from './readme-links.mjs';
import { groupPackages, listPackages, root, site } from './workspace.mjs';

/** Writes `packages/*.md`, one page for each package, and `generated/packages.json`, the navigation. */
export async function generatePackagePages() {
  const packages = listPackages();
  const reference = await generateApiReference(packages);
  const folder = path.join(site, 'packages');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const entry of packages) writeFileSync(path.join(folder, `${entry.name}.md`), page(entry, packages, reference.get(entry.name)));
  const groups = groupPackages(packages);
  writeFileSync(path.join(folder, 'index.md'), overview(groups));
  writeFileSync(path.join(site, 'generated/packages.json'), `${JSON.stringify(groups, null, 2)}\n`);
  return packages.length;
}

/**
 * @param {import('./workspace.mjs').WorkspacePackage} entry
 * @param {readonly import('./workspace.mjs').WorkspacePackage[]} packages
 * @param {string | undefined} reference
 */
function page(entry, packages, reference) {
  const file = path.join(root, entry.folder, 'README.md');
  const readme = existsSync(file) ? readFileSync(file, 'utf8') : `# @calibrant/${entry.name}\n\n${entry.description}.\n`;
  const api = reference === undefined ? '' : `\n## Public exports {#api}\n\n${demote(reference)}`;
  return `---\ntitle: "@calibrant/${entry.name}"\noutline: [2, 4]\n---\n\n${withoutInterpolation(rewriteLinks(readme, entry.folder, packages) + api)}`;
}

/**
 * @param {ReturnType<typeof groupPackages>} groups
 */
function overview(groups) {
  const tables = groups.map(({ title, packages }) => {
    const rows = packages.map(
      ({ name, description, isPrivate }) => `| [${name}](./${name}) | ${description}${isPrivate ? ' (not published)' : ''} |`,
    );
    return `## ${title}\n\n| package | what it is |\n| --- | --- |\n${rows.join('\n')}\n`;
  });
  return `---\ntitle: Packages\n---\n\n# Packages\n\nEach package is installed alone, as \`@calibrant/NAME\`. Its page is made from its README and from the docstrings of its public exports.\n\n${tables.join('\n')}`;
}

/**
 * Headings one level down: the reference stands below a heading of its own.
 *
 * @param {string} markdown
 */
function demote(markdown) {
  return outsideCode(markdown, (text) => text.replace(/^(#{2,5}) /gm, '#$1 '));
}

/**
 * VitePress would read `{{ … }}` in text as an expression.
 *
 * @param {string} markdown
 */
function withoutInterpolation(markdown) {
  return outsideCode(markdown, (text) => text.replaceAll('{{', '&#123;&#123;'));
}

/**
 * Changes what is outside fenced code.
 *
 * @param {string} markdown
 * @param {(text: string) => string} change
 */
export function outsideCode(markdown, change) {
  return markdown
    .split(/^(```[\s\S]*?^```.*$)/m)
    .map((part, i) => (i % 2 === 0 ? change(part) : part))
    .join('');
}
