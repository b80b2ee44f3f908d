import { CalibrantError } from '@calibrant/core';
import { CommanderError } from 'commander';
import { surviveClosedPipes } from './output/closed-pipes.js';
import { describeFailure, exitCodeOf } from './output/failure.js';
import { createProgram } from './program.js';

/** Runs the command line and resolves to the exit code: 0 done, 1 failed, 2 wrong usage, 130 cancelled. */
export async function main(argv: readonly string[]): Promise<number> {
  surviveClosedPipes();
  const program = createProgram();
  try {
    await program.parseAsync([...argv]);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const json = argv.includes('--json');
    if (json) process.stdout.write(`${JSON.stringify({ error: describeFailure(error) }, null, 2)}\n`);
    else process.stderr.write(`error: ${describeFailure(error).message}\n`);
    if (!CalibrantError.isInstance(error) && process.env.CALIBRANT_DEBUG) console.error(error);
    return exitCodeOf(error);
  }
}
