import type { Command } from 'commander';
import { addDiff } from './gguf-diff.js';
import { addDump } from './gguf-dump.js';
import { addDecode, addEncode } from './gguf-rows.js';
import { addMerge, addSplit } from './gguf-split.js';
import { addVerify } from './gguf-verify.js';

/** `calibrant gguf`: tools for GGUF files. */
export function addGguf(program: Command): Command {
  const command = program.command('gguf').description('look into, check, compare, split and merge GGUF files; encode and decode raw rows');
  for (const add of [addDump, addVerify, addDiff, addMerge, addSplit, addEncode, addDecode]) add(command);
  return command;
}
