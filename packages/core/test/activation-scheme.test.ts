import { activationSchemeName, CalibrantError, parseActivationScheme } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';

describe('activation grids by name', () => {
  it.each([
    ['int8-token', { type: 'int', bits: 8, granularity: 'token', symmetric: true, dynamic: true }],
    ['int8-tensor-static', { type: 'int', bits: 8, granularity: 'tensor', symmetric: true, dynamic: false }],
    ['int8-tensor-asym-static', { type: 'int', bits: 8, granularity: 'tensor', symmetric: false, dynamic: false }],
    ['int4-g128-asym', { type: 'int', bits: 4, granularity: 'group', groupSize: 128, symmetric: false, dynamic: true }],
    ['fp8-token', { type: 'float', bits: 8, granularity: 'token', symmetric: true, dynamic: true }],
  ] as const)('%s is read, and written back', (name, scheme) => {
    expect(parseActivationScheme(name)).toEqual(scheme);
    expect(activationSchemeName(parseActivationScheme(name))).toBe(name);
  });

  it('without more, scales are dynamic and per token', () => {
    expect(activationSchemeName(parseActivationScheme('int8'))).toBe('int8-token');
  });

  it.each(['int8-channel', 'int9', 'fp4', 'fp8-token-asym', 'int8-token-static', 'int8-g0', 'w8a8', ''])(
    '%s is refused with names that fit',
    (name) => {
      expect(() => parseActivationScheme(name)).toThrow(CalibrantError);
      expect(() => parseActivationScheme(name)).toThrow(/int8-token/);
    },
  );
});
