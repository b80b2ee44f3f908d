import { type CodedFloat, decodeFloat, decodeOne, encodeFloat, encodeOne, tensor, toDtype, toF32 } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

const PATTERNS: Record<CodedFloat, number> = { f16: 65536, bf16: 65536, f8_e4m3: 256, f8_e5m2: 256 };
const TYPES = Object.keys(PATTERNS) as CodedFloat[];
const bitsOf = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0];

/** Every finite value ≥ 0 of a type, in order, by its pattern: patterns of positive floats are sorted. */
function magnitudes(type: CodedFloat): number[] {
  const values: number[] = [];
  for (let pattern = 0; pattern < PATTERNS[type] / 2; pattern++) {
    const value = decodeOne(type, pattern);
    if (Number.isFinite(value)) values.push(value);
  }
  return values;
}

/** The nearest pattern by definition: search the table, ties to the even pattern, overflow half a step beyond the largest. */
function bruteForce(type: CodedFloat, table: readonly number[], x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? PATTERNS[type] / 2 : 0;
  const magnitude = Math.abs(x);
  const last = table.length - 1;
  const step = table[last] - table[last - 1];
  // The value that would follow the largest; rounding to it is overflow. The largest of E4M3 (…110) is even, so a tie stays below.
  const beyond = table[last] + step / 2;
  const overflows = magnitude > beyond || (magnitude === beyond && last % 2 === 1);
  if (overflows) return sign + last + 1;
  let [low, high] = [0, last];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (table[middle] <= magnitude) low = middle;
    else high = middle - 1;
  }
  const [down, up] = [magnitude - table[low], (table[low + 1] ?? Infinity) - magnitude];
  return sign + (down < up || (down === up && low % 2 === 0) ? low : low + 1);
}

describe('the small float types', () => {
  it('hold the values of their specifications', () => {
    const known: [CodedFloat, number, number][] = [
      ['f16', 0x3c00, 1],
      ['f16', 0xc000, -2],
      ['f16', 0x7bff, 65504],
      ['f16', 0x0400, 2 ** -14],
      ['f16', 0x0001, 2 ** -24],
      ['f16', 0x3555, 0.333251953125],
      ['f16', 0x7c00, Infinity],
      ['f16', 0xfc00, -Infinity],
      ['bf16', 0x3f80, 1],
      ['bf16', 0x4049, 3.140625],
      ['bf16', 0x7f7f, 3.3895313892515355e38],
      ['bf16', 0x0001, 9.183549615799121e-41],
      ['bf16', 0xff80, -Infinity],
      ['f8_e4m3', 0x7e, 448],
      ['f8_e4m3', 0x08, 2 ** -6],
      ['f8_e4m3', 0x01, 2 ** -9],
      ['f8_e4m3', 0xb8, -1],
      ['f8_e5m2', 0x7b, 57344],
      ['f8_e5m2', 0x04, 2 ** -14],
      ['f8_e5m2', 0x01, 2 ** -16],
      ['f8_e5m2', 0xfc, -Infinity],
    ];
    for (const [type, pattern, value] of known) {
      expect([type, pattern, decodeOne(type, pattern)]).toEqual([type, pattern, value]);
      expect([type, value, encodeOne(type, value)]).toEqual([type, value, pattern]);
    }
    for (const [type, nan] of [
      ['f16', 0x7e00],
      ['bf16', 0x7fc0],
      ['f8_e4m3', 0x7f],
      ['f8_e5m2', 0x7e],
    ] as const) {
      expect(decodeOne(type, nan)).toBeNaN();
      expect(encodeOne(type, NaN)).toBe(nan);
    }
  });

  it.each(TYPES)('%s: every pattern survives decoding and encoding, one by one and in bulk', (type) => {
    const count = PATTERNS[type];
    const patterns = count === 256 ? new Uint8Array(256) : new Uint16Array(count);
    for (let i = 0; i < count; i++) patterns[i] = i;
    const values = new Float32Array(count);
    decodeFloat(type, patterns, values);
    const back = patterns.slice();
    encodeFloat(type, values, back);
    let nans = 0;
    for (let pattern = 0; pattern < count; pattern++) {
      const value = decodeOne(type, pattern);
      if (Number.isNaN(value)) {
        nans++;
        if (!Number.isNaN(values[pattern]) || !Number.isNaN(decodeOne(type, back[pattern]))) throw new Error(`NaN lost at ${pattern}`);
      } else if (!Object.is(values[pattern], value) || back[pattern] !== pattern || encodeOne(type, value) !== pattern)
        throw new Error(`${type} pattern ${pattern} became ${back[pattern]}`);
    }
    expect(nans).toBe({ f16: 2046, bf16: 254, f8_e4m3: 2, f8_e5m2: 6 }[type]);
  });

  it.each(TYPES)('%s: every midpoint goes to the even pattern and its neighbours to the nearer one', (type) => {
    const table = magnitudes(type);
    for (let i = 0; i + 1 < table.length; i++) {
      const middle = (table[i] + table[i + 1]) / 2;
      const even = i % 2 === 0 ? i : i + 1;
      const found = [middle, middle * (1 - 2 ** -50), middle * (1 + 2 ** -50)].map((x) => encodeOne(type, x));
      if (found[0] !== even || found[1] !== i || found[2] !== i + 1)
        throw new Error(`${type} around ${middle}: ${found}, expected ${even}, ${i}, ${i + 1}`);
    }
    const largest = table[table.length - 1];
    const beyond = largest + (largest - table[table.length - 2]) / 2;
    expect(encodeOne(type, beyond * (1 - 2 ** -50))).toBe(table.length - 1);
    expect(encodeOne(type, beyond * (1 + 2 ** -50))).toBe(table.length);
    expect(encodeOne(type, -1e300)).toBe(table.length + PATTERNS[type] / 2);
    expect(encodeOne(type, Infinity)).toBe(table.length);
    expect(encodeOne(type, -0)).toBe(PATTERNS[type] / 2);
  });

  it.each(TYPES)('%s: f32 and f64 numbers go to the nearest value of the table, in bulk and one by one', (type) => {
    const table = magnitudes(type);
    const within = fc.double({ min: -2 * table[table.length - 1], max: 2 * table[table.length - 1], noNaN: true });
    const anyFloat = fc.float({ noNaN: true, noDefaultInfinity: true });
    fc.assert(
      fc.property(fc.array(fc.oneof(within, anyFloat, fc.double({ noNaN: true, noDefaultInfinity: true }))), (numbers) => {
        const exact = Float64Array.from(numbers);
        const singles = Float32Array.from(numbers);
        const out = new Uint16Array(numbers.length);
        encodeFloat(type, exact, out);
        expect([...out]).toEqual([...exact].map((x) => bruteForce(type, table, x)));
        encodeFloat(type, singles, out);
        expect([...out]).toEqual([...singles].map((x) => bruteForce(type, table, x)));
      }),
      { numRuns: 300 },
    );
  });

  it('keep the payload and sign of a NaN from f32 to bf16, and make it quiet', () => {
    const words = Uint32Array.of(0x7f800001, 0xffc12345, 0x7fffffff);
    const out = new Uint16Array(3);
    encodeFloat('bf16', new Float32Array(words.buffer), out);
    expect([...out].map((pattern) => pattern.toString(16))).toEqual(['7fc0', 'ffc1', '7fff']);
    const back = new Float32Array(3);
    decodeFloat('bf16', out, back);
    expect(new Uint32Array(back.buffer)[1].toString(16)).toBe('ffc10000');
  });
});

describe('toDtype and toF32', () => {
  it('round f64 to f16 and bf16 once, where going by way of f32 would round twice', () => {
    // Just above the middle of 1 and the next f16: f32 would round it onto the middle, and that to even.
    const x = 1 + 2 ** -11 + 2 ** -40;
    expect([...toDtype(tensor('f64', [1], Float64Array.of(x)), 'f16').data]).toEqual([0x3c01]);
    expect([...toDtype(tensor('f32', [1], Float32Array.of(x)), 'f16').data]).toEqual([0x3c00]);
    const y = 1 + 2 ** -8 + 2 ** -40;
    expect([...toDtype(tensor('f64', [1], Float64Array.of(y)), 'bf16').data]).toEqual([0x3f81]);
  });

  it('round large integers once, and keep those that f64 can hold', () => {
    const integers = tensor('i32', [3], Int32Array.of(16777217, -2147483647, 16777216 + 65537));
    expect([...toDtype(integers, 'f64').data]).toEqual([16777217, -2147483647, 16842753]);
    expect([...toF32(toDtype(integers, 'bf16'))].map(Number)).toEqual([16777216, -2147483648, 16908288]);
    expect([...toF32(tensor('i64', [2], BigInt64Array.of(-3n, 2n ** 40n)))]).toEqual([-3, 2 ** 40]);
    expect([...toDtype(tensor('bool', [2], Uint8Array.of(0, 1)), 'f16').data]).toEqual([0, 0x3c00]);
  });

  it('keep NaN, infinities and signed zeros between float types', () => {
    const special = tensor('f32', [5], Float32Array.of(NaN, Infinity, -Infinity, -0, 0));
    for (const type of ['f64', 'f16', 'bf16', 'f8_e5m2'] as const) expect(toF32(toDtype(special, type))).toEqual(special.data);
    expect([...toF32(toDtype(special, 'f8_e4m3'))]).toEqual([NaN, NaN, NaN, -0, 0]);
  });

  it('give back the tensor itself when nothing is to be done, and refuse integer targets', () => {
    const w = tensor('f32', [1], Float32Array.of(1.5));
    expect(toDtype(w, 'f32')).toBe(w);
    expect(toF32(w)).toBe(w.data);
    expect(() => toDtype(w, 'i8')).toThrow(/only float types/);
  });

  it('decode bf16 as the upper half of f32', () => {
    const decoded = toF32(tensor('bf16', [2], Uint16Array.of(0x4049, 0x8001)));
    expect([bitsOf(decoded[0]), bitsOf(decoded[1])]).toEqual([0x40490000, 0x80010000]);
  });
});
