import { CalibrantError, createRegistry, defineQuantizer, defineScheme, nearest, type Plugin } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';

const quantizer = (name: string, aliases: string[] = [], from = '@someone/quantizers') =>
  defineQuantizer({
    name,
    aliases,
    meta: { description: 'for tests', package: from },
    options: z.strictObject({}),
    needs: [],
    quantize: () => Promise.reject(new Error('not run')),
  });
const scheme = (name: string) =>
  defineScheme({ name, meta: { description: 'for tests', package: 'x' }, options: z.strictObject({}), assign: () => new Map() });
const messageOf = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    return (error as CalibrantError).message;
  }
  throw new Error('expected an error');
};

describe('createRegistry', () => {
  it('finds plug-ins by kind and name or alias, in any case', () => {
    const gptq = quantizer('gptq', ['optq']);
    const registry = createRegistry([gptq, [scheme('gptq'), scheme('Q4_K_M')]]);
    expect(registry.get('quantizer', 'GPTQ')).toBe(gptq);
    expect(registry.get('quantizer', 'optq')).toBe(gptq);
    expect(registry.get('scheme', 'gptq').kind).toBe('scheme');
    expect(registry.find('format', 'gptq')).toBeUndefined();
    expect(registry.list('scheme').map(({ name }) => name)).toEqual(['gptq', 'Q4_K_M']);
    expect(registry.all().length).toBe(3);
  });

  it('answers an unknown name with the nearest known one and its package', () => {
    const registry = createRegistry([quantizer('roundings', ['rnd'])]);
    const message = messageOf(() => registry.get('quantizer', 'rounding'));
    expect(message).toContain('There is no quantizer named "rounding".');
    expect(message).toContain('Did you mean "roundings" (@someone/quantizers)?');
    expect(message).toContain('Known: roundings.');
    expect(() => registry.get('quantizer', 'rounding')).toThrow(CalibrantError);
  });

  it('says which official package provides a name that is not registered, also when it is misspelt', () => {
    const registry = createRegistry();
    expect(messageOf(() => registry.get('quantizer', 'GPTQ'))).toMatch(
      /provided by @calibrant\/gptq: install it.*--plugin.*No quantizer is registered/,
    );
    expect(messageOf(() => registry.get('format', 'safetensor'))).toMatch(/"safetensors" is provided by @calibrant\/compressed-tensors/);
    const strange = messageOf(() => registry.get('format', 'constructor'));
    expect(strange).toBe('There is no format named "constructor". No format is registered.');
  });

  it('refuses two plug-ins of one name, or an alias that is taken, and takes nothing of what it refused', () => {
    const registry = createRegistry([quantizer('gptq', [], '@a/a')]);
    expect(messageOf(() => registry.add(quantizer('GPTQ', [], '@b/b')))).toMatch(
      /Two plug-ins provide the quantizer "gptq": @a\/a and @b\/b/,
    );
    expect(() => registry.add(quantizer('other', ['gptq']))).toThrow(/"gptq"/);
    expect(registry.find('quantizer', 'other')).toBeUndefined();
    expect(registry.all().length).toBe(1);
    registry.add(quantizer('self', ['SELF']));
    expect(registry.get('quantizer', 'self').name).toBe('self');
  });

  it('refuses another version of the contract', () => {
    const future = { ...quantizer('next'), specificationVersion: 'v2' } as unknown as Plugin;
    expect(messageOf(() => createRegistry([future]))).toMatch(/"next" has specification version v2.*reads v1/);
    expect(() => createRegistry([undefined as unknown as Plugin])).toThrow(/specification version/);
  });

  it.each([
    [{ kind: 'quantiser' }, /plug-in "mine" has the unknown kind "quantiser" \(did you mean "quantizer"\?\)/],
    [{ name: undefined }, /name and aliases of letters/],
    [{ aliases: ['a b'] }, /found "a b"/],
    [{ meta: { description: 'x' } }, /"mine" must have meta.description and meta.package/],
    [{ meta: undefined }, /meta.description and meta.package/],
    [{ options: { bits: 4 } }, /quantizer "mine" must have "options", a zod schema/],
    [{ quantize: undefined }, /quantizer "mine" must have "quantize", a function, found nothing/],
    [{ needs: 'hessian' }, /must have "needs", a list, found string/],
  ])('refuses a plug-in that lacks what its kind must have: %j', (change, message) => {
    const broken = { ...quantizer('mine'), ...change } as unknown as Plugin;
    expect(() => createRegistry([broken])).toThrow(message);
    expect(() => createRegistry([broken])).toThrow(CalibrantError);
  });
});

describe('define*', () => {
  it('freezes, marks with kind and version, and checks name and meta', () => {
    const plugin = quantizer('rtn');
    expect(plugin).toMatchObject({ specificationVersion: 'v1', kind: 'quantizer', name: 'rtn' });
    expect(Object.isFrozen(plugin)).toBe(true);
    expect(() => quantizer('no spaces')).toThrow(/aliases of letters, digits/);
    expect(() => quantizer('../x')).toThrow(/aliases of letters, digits/);
    const nameless = { name: 'mix', meta: { description: '', package: 'x' }, options: z.strictObject({}), assign: () => new Map() };
    expect(() => defineScheme(nameless)).toThrow(/meta.description and meta.package/);
  });
});

describe('nearest', () => {
  it('finds slips of the finger and nothing else', () => {
    const known = ['groupSize', 'actOrder', 'dampPercent', 'symmetric'];
    expect(nearest('grupSize', known)).toBe('groupSize');
    expect(nearest('GROUPSIZE', known)).toBe('groupSize');
    expect(nearest('actOrdre', known)).toBe('actOrder');
    expect(nearest('damp_percent', known)).toBe('dampPercent');
    expect(nearest('learningRate', known)).toBeUndefined();
    expect(nearest('x', [])).toBeUndefined();
  });
});
