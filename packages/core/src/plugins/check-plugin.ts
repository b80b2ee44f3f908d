import type { z } from 'zod';
import { CalibrantError } from '../errors.js';
import { nearest } from '../nearest.js';
import type { Plugin, PluginKind } from './contracts.js';

/** What a plug-in of each kind must have beside its name, meta and options, and the type of it. */
const MEMBERS: Readonly<Record<PluginKind, Readonly<Record<string, 'function' | 'list' | 'boolean'>>>> = {
  quantizer: { needs: 'list', quantize: 'function' },
  transform: { needs: 'list', accepts: 'function', apply: 'function' },
  calibrator: { ranges: 'function', range: 'function' },
  scheme: { assign: 'function' },
  format: { accepts: 'function', outputs: 'function', floatScheme: 'function', open: 'function' },
  architecture: { modelTypes: 'list', describe: 'function' },
  backend: { available: 'function', create: 'function' },
  metric: { needsReference: 'boolean', start: 'function' },
};

/**
 * Checks that a plug-in has what its contract asks for. Types do not reach plug-ins in JavaScript, and what is missing would only show in the
 * middle of a run.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` that names the plug-in and what is wrong.
 */
export function checkPlugin(plugin: Plugin): void {
  const { kind, name, meta, options, aliases = [] } = plugin;
  const kinds = Object.keys(MEMBERS);
  const close = nearest(String(kind), kinds);
  const refuse = (problem: string) =>
    new CalibrantError('INVALID_ARGUMENT', `The ${close === kind ? kind : 'plug-in'} ${JSON.stringify(name)} ${problem}.`);
  if (!kinds.includes(kind))
    throw refuse(`has the unknown kind ${JSON.stringify(kind)}${close ? ` (did you mean "${close}"?)` : ''}. Known: ${kinds.join(', ')}`);
  for (const each of [name, ...aliases])
    if (typeof each !== 'string' || !/^[a-z0-9][a-z0-9._-]*$/i.test(each))
      throw refuse(`must have a name and aliases of letters, digits, ".", "_" or "-", found ${JSON.stringify(each)}`);
  for (const key of ['description', 'package'] as const)
    if (typeof meta?.[key] !== 'string' || meta[key] === '') throw refuse('must have meta.description and meta.package');
  // Not `instanceof`: a plug-in may bring a copy of zod of its own.
  if (typeof (options as z.ZodType | undefined)?.safeParse !== 'function')
    throw refuse('must have "options", a zod schema; z.strictObject({}) when it takes none');
  for (const [member, type] of Object.entries(MEMBERS[kind])) {
    const value = (plugin as unknown as Record<string, unknown>)[member];
    if (type === 'list' ? !Array.isArray(value) : typeof value !== type)
      throw refuse(`must have "${member}", a ${type}, found ${value === undefined ? 'nothing' : typeof value}`);
  }
}
