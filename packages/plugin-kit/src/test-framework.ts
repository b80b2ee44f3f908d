/** What a conformance suite needs of a test runner: `describe`, `it` and `expect` of jest or vitest. */
export interface TestFramework {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, body: () => void | Promise<void>, timeout?: number) => unknown;
  readonly expect: (actual: any) => any;
}

/** Tests that an implementation leaves out, and why. */
export interface Skip {
  /** For people: what is missing, and whether it will come. */
  readonly reason: string;
  /** Names of tests. A name that no test has fails the suite, so that skips do not outlive their tests. */
  readonly tests: readonly string[];
}

/** Wraps `it` so that the tests named in `skip` are left out, and checks (in a last test) that they exist. */
export function skippable({ it, expect }: TestFramework, skip: readonly Skip[]) {
  const left = new Map(skip.flatMap(({ reason, tests }) => tests.map((test) => [test, reason] as const)));
  const seen = new Set<string>();
  return {
    test(name: string, body: () => void | Promise<void>): void {
      seen.add(name);
      if (!left.has(name)) it(name, body);
    },
    finish(): void {
      for (const [name, reason] of left) it(`leaves out "${name}": ${reason}`, () => expect([...seen]).toContain(name));
    },
  };
}
