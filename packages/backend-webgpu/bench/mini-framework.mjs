// As much of a test runner as the conformance suites need, so that they run where jest is not installed.
import assert from 'node:assert/strict';

export function createMiniFramework() {
  const tests = [];
  const path = [];
  return {
    describe(name, body) {
      path.push(name);
      body();
      path.pop();
    },
    it(name, body) {
      tests.push({ name: [...path, name].join(' › '), body });
    },
    expect: (actual) => ({
      toBe: (expected) => assert.ok(Object.is(actual, expected), `${actual} instead of ${expected}`),
      toEqual: (expected) => assert.deepEqual(actual, expected),
      toContain: (item) => assert.ok(actual.includes(item), `${item} is missing`),
      toBeGreaterThanOrEqual: (least) => assert.ok(actual >= least, `${actual} is less than ${least}`),
      toBeLessThanOrEqual: (most) => assert.ok(actual <= most, `${actual} is more than ${most}`),
    }),
    /** Runs everything in order; prints failures and resolves to the numbers of tests. */
    async run() {
      let failed = 0;
      for (const { name, body } of tests) {
        try {
          await body();
        } catch (error) {
          failed++;
          console.log(`FAILED ${name}\n  ${error.message}`);
        }
      }
      return { passed: tests.length - failed, failed };
    },
  };
}
