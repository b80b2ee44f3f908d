// npm test: installs, builds, checks and runs every test. Ends with a line `jest: N passed, N failed`.
// With CALIBRANT_REQUIRE_ALL=1 it fails when a test was left out for want of a program.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root, run, setUp } from './setup.mjs';
import { testEnvironment } from './test-environment.mjs';

setUp();
console.log('Checking format, types and structure');
run(process.execPath, ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']);
run(process.execPath, ['tools/check-structure.mjs']);
run(process.execPath, ['node_modules/turbo/bin/turbo', 'run', 'typecheck', '--output-logs=errors-only', '--concurrency=2'], {
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1' },
});
run(process.execPath, ['tools/check-packages.mjs']);

const scratch = mkdtempSync(path.join(tmpdir(), 'calibrant-test-'));
const results = path.join(scratch, 'results.json');
const { leftOut } = await runJest();
const { numPassedTests, numFailedTests, numFailedTestSuites, numPendingTests, numTodoTests, success } = readResults();
rmSync(scratch, { recursive: true, force: true });

for (const line of leftOut) console.log(line);
const incomplete = process.env.CALIBRANT_REQUIRE_ALL === '1' && (leftOut.length > 0 || numPendingTests + numTodoTests > 0);
if (incomplete) console.error(`Tests were left out (${numPendingTests + numTodoTests}); here every test must run.`);
console.log(`jest: ${numPassedTests} passed, ${numFailedTests + (numFailedTests === 0 ? numFailedTestSuites : 0)} failed`);
process.exit(success && !incomplete ? 0 : 1);

/** Runs all tests, showing their output and collecting the lines that say what was left out. */
function runJest() {
  const jest = spawn(
    process.execPath,
    [
      '--experimental-vm-modules',
      '--no-warnings',
      'node_modules/jest/bin/jest.js',
      '--maxWorkers=2',
      '--json',
      `--outputFile=${results}`,
      ...process.argv.slice(2),
    ],
    { cwd: root, env: testEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const leftOut = new Set();
  let text = '';
  jest.stderr.on('data', (chunk) => {
    process.stdout.write(chunk);
    text += chunk;
  });
  return new Promise((resolve) => {
    jest.on('close', () => {
      for (const [line] of text.matchAll(/left out: .*/g)) leftOut.add(line);
      resolve({ leftOut: [...leftOut] });
    });
  });
}

function readResults() {
  if (existsSync(results)) return JSON.parse(readFileSync(results, 'utf8'));
  console.error('jest did not finish.');
  return { numPassedTests: 0, numFailedTests: 1, numFailedTestSuites: 1, numPendingTests: 0, numTodoTests: 0, success: false };
}
