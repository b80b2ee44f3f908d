import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const BIN = fileURLToPath(new URL('../bin/calibrant.js', import.meta.url));

export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the real command in a process of its own, piped. `onStderr` sees the progress as it comes and may kill the process or close its pipes. */
export function runCli(
  args: readonly string[],
  options: {
    cwd?: string;
    onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void, close: (pipe: 'stdout' | 'stderr') => void) => void;
  } = {},
): Promise<CliRun> {
  const child = spawn(process.execPath, [BIN, ...args], { cwd: options.cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    options.onStderr?.(
      stderr,
      (signal) => child.kill(signal),
      (pipe) => child[pipe].destroy(),
    );
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}
