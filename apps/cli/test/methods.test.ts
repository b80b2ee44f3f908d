import { describe, expect, it } from '@jest/globals';
import { recipeOf } from '../src/commands/recipe-of.js';

describe('methods on the command line', () => {
  it.each([
    [{ method: 'awq' }, [['awq', {}]], 'rtn', 'int4-g128-asym'],
    [{ method: 'awq', set: ['ratios=10', 'clip=false'] }, [['awq', { ratios: 10, clip: false }]], 'rtn', 'int4-g128-asym'],
    [{ method: 'awq', bits: 3 }, [['awq', {}]], 'rtn', 'int3-g128-asym'],
    [{ method: 'awq', scheme: 'Q4_K_M' }, [['awq', {}]], 'rtn', 'Q4_K_M'],
    [{ method: 'awq', format: 'gguf' }, [['awq', {}]], 'rtn', undefined],
    [{ method: 'smoothquant' }, [['smoothquant', {}]], 'rtn', 'int8-channel-sym'],
    [
      { method: 'gptq', transform: ['awq', 'smoothquant'], set: ['actOrder=full', 'awq.ratios=5'] },
      [
        ['awq', { ratios: 5 }],
        ['smoothquant', {}],
      ],
      'gptq',
      undefined,
    ],
  ])('%j', async (options, transforms, quantizer, scheme) => {
    const recipe = await recipeOf(options);
    expect(recipe.transforms).toEqual(transforms.map(([name, given]) => ({ name, options: given })));
    expect(recipe.quantizer).toMatchObject({ name: quantizer });
    expect(recipe.scheme).toBe(scheme);
  });

  it('a set option of a plug-in that is not there is refused by name', async () => {
    await expect(recipeOf({ method: 'rtn', set: ['awq.ratios=5'] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/no "awq".*rtn/),
    });
    await expect(recipeOf({ set: ['ratios'] })).rejects.toMatchObject({ message: expect.stringMatching(/option=value/) });
  });
});
