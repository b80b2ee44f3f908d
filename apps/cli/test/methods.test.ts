import { describe, expect, it } from '@jest/globals';
import { recipeOf } from '../src/commands/recipe-of.js';

describe('methods on the command line', () => {
  it.each([
    [{ method: 'awq' }, [['awq', {}]], 'rtn', 'int4-g128-asym'],
    [{ method: 'awq', set: ['ratios=10', 'clip=false'] }, [['awq', { ratios: 10, clip: false }]], 'rtn', 'int4-g128-asym'],
    [{ method: 'awq', bits: 3 }, [['awq', {}]], 'rtn', 'int3-g128-asym'],
    [{ method: 'awq', scheme: 'Q4_K_M' }, [['awq', {}]], 'rtn', 'Q4_K_M'],
    [{ method: 'awq', format: 'gguf' }, [['awq', {}]], 'rtn', undefined],
    [{ method: 'awq+gptq', set: ['actOrder=full', 'awq.ratios=5'] }, [['awq', { ratios: 5 }]], 'gptq', 'int4-g128-asym'],
    [
      { method: 'SmoothQuant+AWQ' },
      [
        ['smoothquant', {}],
        ['awq', {}],
      ],
      'rtn',
      'int8-channel-sym',
    ],
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

  it.each(['gptq+awq', 'rtn+gptq', 'awq+'])('%s is no method, and refused with examples', async (method) => {
    await expect(recipeOf({ method })).rejects.toMatchObject({ message: expect.stringMatching(/name transforms, then.*awq\+gptq/) });
  });

  it('a set option of a plug-in that is not there is refused by name', async () => {
    await expect(recipeOf({ method: 'rtn', set: ['awq.ratios=5'] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/no "awq".*rtn/),
    });
    await expect(recipeOf({ set: ['ratios'] })).rejects.toMatchObject({ message: expect.stringMatching(/option=value/) });
  });
});

describe('calibration text on the command line', () => {
  it('may be several sources with shares, which take the place of the source of a preset', async () => {
    const { calibration } = await recipeOf({ preset: 'gptq-w4g128', calibration: 'notes.txt=2, org/name:train,self', samples: 9 });
    expect(calibration).toEqual({
      source: 'mixture',
      parts: [{ source: 'file', path: 'notes.txt', share: 2 }, { source: 'hub', path: 'org/name:train' }, { source: 'self' }],
      samples: 9,
      length: 512,
    });
    await expect(recipeOf({ calibration: 'a.txt,,b.txt' })).rejects.toMatchObject({
      message: expect.stringMatching(/notes\.txt=2,code\.jsonl,self/),
    });
    await expect(recipeOf({ calibration: 'a.txt=0,b.txt' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('overrides on the command line', () => {
  it('name a scheme, options of the method, or both, over those of a recipe', async () => {
    const override = [
      '*.down_proj.weight=int8-g128-sym,dampPercent=0.05,actOrder=none',
      'model.layers.0.*=staticGroups=true',
      'lm_head.weight=int8-channel-sym',
    ];
    expect(await recipeOf({ method: 'gptq', override, quantizeLmHead: true })).toMatchObject({
      quantizeLmHead: true,
      overrides: {
        '*.down_proj.weight': { scheme: 'int8-g128-sym', options: { dampPercent: 0.05, actOrder: 'none' } },
        'model.layers.0.*': { options: { staticGroups: true } },
        'lm_head.weight': { scheme: 'int8-channel-sym', options: {} },
      },
    });
  });

  it.each(['down_proj', '=int4', '*=', '*=int4,int8', '*=int4,'])('are refused with an example: %s', async (text) => {
    await expect(recipeOf({ override: [text] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`found "${text}"`),
    });
  });
});
