import { existsSync } from 'node:fs';
import path from 'node:path';
import { root } from './workspace.mjs';

const REPOSITORY = 'https://github.com/calibrant/calibrant/blob/main';

/**
 * A README links to files beside it. On the site, a link to a package becomes one to its page, and any other file is in the repository.
 * Throws for a link to a file that does not exist.
 *
 * @param {string} markdown
 * @param {string} folder of the README, relative to the root
 * @param {readonly { name: string, folder: string }[]} packages
 */
export function rewriteLinks(markdown, folder, packages) {
  return markdown.replace(/\]\((?![a-z]+:|#|\/)([^)\s]+)\)/g, (_, target) => {
    const [file, anchor] = target.split('#');
    const found = path.posix.join(folder, file).replace(/\/$/, '');
    if (!existsSync(path.join(root, found))) throw new Error(`${folder}/README.md links to ${target}, and there is no such file.`);
    const entry = packages.find((candidate) => found === candidate.folder || found === `${candidate.folder}/README.md`);
    const hash = anchor ? `#${anchor}` : '';
    return entry ? `](./${entry.name}.md${hash})` : `](${REPOSITORY}/${found}${hash})`;
  });
}
