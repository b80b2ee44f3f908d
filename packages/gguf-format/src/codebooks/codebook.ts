/** The points that a codebook type can store: vectors of `size` levels `0 … radix − 1`, numbered in the order of their keys. */
export interface Codebook {
  readonly radix: number;
  readonly size: number;
  /** The levels of all points, `size` bytes each. */
  readonly points: Uint8Array;
  /** The number of the point with these levels, −1 where there is none. */
  indexOf(levels: Uint8Array): number;
  /**
   * For levels that are no point: the points at the least distances from them, with all that are as far as the last of these distances; nearer ones first, of
   * equally near ones that of the lower number. ggml searches these alone.
   */
  nearby(levels: Uint8Array): Uint16Array;
}

/**
 * A codebook from its data: bit k, from the lowest of each byte, says whether the vector with the digits of k in base `radix`, the first element's the
 * lowest, is a point.
 *
 * @param shells how many distances {@link Codebook.nearby} goes through
 */
export function codebook(base64: string, radix: number, size: number, shells: number): Codebook {
  const bits = Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
  const keys: number[] = [];
  for (let key = 0; key < radix ** size; key++) if ((bits[key >> 3] >> (key & 7)) & 1) keys.push(key);
  const points = new Uint8Array(keys.length * size);
  const numbers = new Int16Array(radix ** size).fill(-1);
  for (const [number, key] of keys.entries()) {
    numbers[key] = number;
    for (let i = 0; i < size; i++) points[number * size + i] = Math.floor(key / radix ** i) % radix;
  }
  const keyOf = (levels: Uint8Array): number => levels.reduceRight((key, level) => key * radix + level, 0);
  const lists = new Map<number, Uint16Array>();
  return {
    radix,
    size,
    points,
    indexOf: (levels) => numbers[keyOf(levels)],
    nearby(levels) {
      const key = keyOf(levels);
      const list = lists.get(key) ?? nearest(points, levels, shells);
      lists.set(key, list);
      return list;
    },
  };
}

function nearest(points: Uint8Array, levels: Uint8Array, shells: number): Uint16Array {
  const byDistance: number[][] = [];
  for (let at = 0; at < points.length; at += levels.length) {
    let distance = 0;
    for (let i = 0; i < levels.length; i++) distance += (points[at + i] - levels[i]) ** 2;
    byDistance[distance] ??= [];
    byDistance[distance].push(at / levels.length);
  }
  // Not all distances occur.
  return Uint16Array.from(Object.values(byDistance).slice(0, shells).flat());
}
