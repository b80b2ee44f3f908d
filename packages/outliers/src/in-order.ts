import { throwIfAborted } from '@calibrant/core';

/**
 * Starts `work` on items 0 to count, a few at a time, and merges the results in the order of the items, so that sums do not depend on timing. After a failure nothing new is
 * started, and what is under way ends first.
 */
export async function inOrder<Result>(
  count: number,
  atOnce: number,
  work: (item: number) => Promise<Result>,
  merge: (result: Result, item: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const waiting: Promise<Result>[] = [];
  let merged = 0;
  const mergeOldest = async () => {
    const result = await (waiting.shift() as Promise<Result>);
    merge(result, merged++);
  };
  try {
    for (let item = 0; item < count; item++) {
      throwIfAborted(signal);
      const started = work(item);
      started.catch(() => {}); // reported in its turn
      waiting.push(started);
      if (waiting.length >= atOnce) await mergeOldest();
    }
    while (waiting.length > 0) await mergeOldest();
  } finally {
    await Promise.allSettled(waiting);
  }
}
