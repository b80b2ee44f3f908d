import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Application, ReflectionKind } from 'typedoc';
import { root, site } from './workspace.mjs';

/**
 * The public exports of each package (what its `src/index.ts` names) as Markdown, from types and docstrings.
 * Links between packages are relative: `core.md#api-tensor`.
 *
 * @param {readonly import('./workspace.mjs').WorkspacePackage[]} packages
 * @returns {Promise<Map<string, string>>} by package name; a package without `src/index.ts` has none
 */
export async function generateApiReference(packages) {
  const documented = packages
    .map(({ name, folder }) => ({ name, file: path.join(root, folder, 'src/index.ts') }))
    .filter(({ file }) => existsSync(file));
  const app = await Application.bootstrapWithPlugins({ ...OPTIONS, entryPoints: documented.map(({ file }) => file) });
  const project = await app.convert();
  if (!project) throw new Error('TypeDoc could not read the packages; its messages are above.');
  for (const module of project.children ?? []) module.name = path.basename(path.dirname(module.name));
  nameDestructuredParameters(project);
  const folder = path.join(site, 'generated/api');
  await app.outputs.writeOutput({ name: 'markdown', path: folder }, project);
  app.validate(project);
  if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error('TypeDoc found faults in docstrings; its messages are above.');
  return new Map(documented.map(({ name }) => [name, readFileSync(path.join(folder, `${name}.md`), 'utf8')]));
}

/**
 * A parameter that the code takes apart at once has no name there. It gets that of its type (`scheme: Scheme`), else `options`.
 *
 * @param {import('typedoc').ProjectReflection} project
 */
function nameDestructuredParameters(project) {
  for (const reflection of project.getReflectionsByKind(ReflectionKind.Parameter)) {
    if (!reflection.name.startsWith('__namedParameters')) continue;
    const { type } = /** @type {import('typedoc').ParameterReflection} */ (reflection);
    reflection.name = type?.type === 'reference' ? type.name[0].toLowerCase() + type.name.slice(1) : 'options';
  }
}

/** @type {import('typedoc').TypeDocOptions & import('typedoc-plugin-markdown').PluginOptions} */
const OPTIONS = {
  entryPointStrategy: 'resolve',
  tsconfig: path.join(site, 'tsconfig.api.json'),
  plugin: ['typedoc-plugin-markdown'],
  logLevel: 'Warn',
  readme: 'none',
  router: 'module',
  validation: {
    invalidLink: true,
    invalidPath: true,
    notExported: false,
    notDocumented: false,
    rewrittenLink: false,
    unusedMergeModuleWith: false,
  },
  skipErrorChecking: true,
  excludeInternal: true,
  excludePrivate: true,
  excludeExternals: true,
  disableSources: true,
  hidePageHeader: true,
  hideBreadcrumbs: true,
  hidePageTitle: true,
  groupOrder: ['Functions', 'Classes', 'Interfaces', 'Type Aliases', 'Variables'],
  expandParameters: true,
  useCodeBlocks: true,
  useCustomAnchors: true,
  anchorPrefix: 'api-',
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  classPropertiesFormat: 'table',
  typeAliasPropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  tableColumnSettings: { hideDefaults: true, hideInherited: true, hideModifiers: true, hideOverrides: true, leftAlignHeaders: true },
};
