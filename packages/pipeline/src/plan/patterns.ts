/** Whether a tensor name matches a pattern: `*` stands for any characters, all else for itself. */
export function matchesPattern(name: string, pattern: string): boolean {
  const source = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*');
  return new RegExp(`^${source}$`).test(name);
}
