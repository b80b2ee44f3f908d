/** Which rows of a tensor have been written: a sorted list of separate ranges. */
export interface WrittenRows {
  add(start: number, end: number): void;
  /** The first row in `[0, count)` that was not written, or undefined. */
  firstMissing(count: number): number | undefined;
}

export function createWrittenRows(): WrittenRows {
  let ranges: { start: number; end: number }[] = [];
  return {
    add(start, end) {
      if (start === end) return;
      const apart = ranges.filter((range) => range.end < start || range.start > end);
      const touching = ranges.filter((range) => !(range.end < start || range.start > end));
      const merged = {
        start: Math.min(start, ...touching.map((range) => range.start)),
        end: Math.max(end, ...touching.map((range) => range.end)),
      };
      ranges = [...apart, merged].sort((a, b) => a.start - b.start);
    },
    firstMissing(count) {
      const first = ranges[0];
      const covered = first?.start === 0 ? first.end : 0;
      return covered >= count ? undefined : covered;
    },
  };
}
