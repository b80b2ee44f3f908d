import { execFile } from 'node:child_process';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { loadRegistry } from '../load-plugins.js';
import { formatBytes } from '../output/format.js';
import { renderTable } from '../output/table.js';
import type { BackendProbe } from '../probe-backend.js';

const PROBE = fileURLToPath(new URL('../probe-backend.js', import.meta.url));

interface Finding {
  readonly what: string;
  readonly state: 'ok' | 'absent';
  readonly detail: string;
}

/** `calibrant doctor`: what this machine offers, found by trying it. */
export function addDoctor(program: Command): Command {
  return program
    .command('doctor')
    .description('show what this machine offers')
    .option('--json', 'print the findings as JSON')
    .action(async ({ json }: { json?: boolean }) => {
      const findings = [...machine(), ...(await backends()), hub()];
      if (json) return void process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
      const rows = findings.map(({ what, state, detail }) => [state === 'ok' ? '✓' : '–', what, detail]);
      process.stdout.write(`${renderTable(['', 'what', 'found'], rows, ['left', 'left', 'left'])}\n`);
    });
}

function machine(): Finding[] {
  const [cpu] = os.cpus();
  return [
    { what: 'Node', state: 'ok', detail: process.versions.node },
    { what: 'processor', state: 'ok', detail: `${cpu?.model.trim() ?? process.arch}, ${os.availableParallelism()} threads` },
    { what: 'memory', state: 'ok', detail: `${formatBytes(os.freemem())} free of ${formatBytes(os.totalmem())}` },
  ];
}

async function backends(): Promise<Finding[]> {
  const registry = await loadRegistry();
  return Promise.all(registry.list('backend').map(async ({ name }) => ({ what: `backend ${name}`, ...(await probe(name)) })));
}

/** Tries a backend in a process of its own, without what native libraries write to stderr. */
async function probe(name: string): Promise<BackendProbe> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [PROBE, name]);
    return JSON.parse(stdout) as BackendProbe;
  } catch (error) {
    const { signal, code } = error as { signal?: string; code?: number };
    return { state: 'absent', detail: `the process that tried it ended with ${signal ?? `exit code ${code}`}` };
  }
}

function hub(): Finding {
  const offline = process.env.HF_HUB_OFFLINE === '1';
  const token = process.env.HF_TOKEN ? 'with a token (HF_TOKEN)' : 'without a token (set HF_TOKEN for gated models)';
  return {
    what: 'Hugging Face Hub',
    state: offline ? 'absent' : 'ok',
    detail: offline ? 'offline mode (HF_HUB_OFFLINE=1): only the local cache is used' : token,
  };
}
