import { CalibrantError, parseOptions, parseRecipe, recipeJsonSchema } from '@calibrant/core';
import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';

const refusal = (action: () => unknown): CalibrantError => {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(CalibrantError);
    return error as CalibrantError;
  }
  throw new Error('expected an error');
};

describe('parseRecipe', () => {
  it('fills in every default', () => {
    expect(parseRecipe({})).toEqual({
      version: 'v1',
      transforms: [],
      quantizer: { name: 'rtn', options: {} },
      scheme: { name: 'Q4_K_M', options: {} },
      format: { name: 'gguf', options: {} },
      keep: [],
      keepActivations: [],
      roundedCalibration: false,
      quantizeLmHead: false,
      overrides: {},
    });
    expect(parseRecipe({ calibration: {} }).calibration).toEqual({ source: 'self', samples: 256, length: 512, seed: 0 });
  });

  it.each([
    [{ quantizer: 'gptq' }, 'int4-g128-asym', 'compressed-tensors'],
    [{ scheme: 'int8-channel-sym' }, 'int8-channel-sym', 'compressed-tensors'],
    [{ scheme: { name: 'Q8_0' } }, 'Q8_0', 'gguf'],
    [{ format: 'gguf', quantizer: 'gptq' }, 'Q4_K_M', 'gguf'],
    [{ format: 'safetensors' }, 'int4-g128-asym', 'safetensors'],
    [{ format: 'gptq' }, 'int4-g128-sym', 'gptq'],
    [{ format: 'awq' }, 'int4-g128-asym', 'awq'],
  ])('fills in a scheme and a format that fit each other: %j', (input, scheme, format) => {
    const recipe = parseRecipe(input);
    expect([recipe.scheme.name, recipe.format.name]).toEqual([scheme, format]);
  });

  it('takes a plug-in by name or with options, and reads its own output', () => {
    const recipe = parseRecipe({
      quantizer: 'gptq',
      scheme: { name: 'Q4_K_M' },
      transforms: [{ name: 'awq', options: { steps: 3 } }, 'hadamard'],
    });
    expect(recipe.quantizer).toEqual({ name: 'gptq', options: {} });
    expect(recipe.transforms).toEqual([
      { name: 'awq', options: { steps: 3 } },
      { name: 'hadamard', options: {} },
    ]);
    expect(parseRecipe(JSON.parse(JSON.stringify(recipe)))).toEqual(recipe);
  });

  it.each([
    [{ quantiser: 'rtn' }, 'recipe.quantiser', 'Did you mean "quantizer"?'],
    [{ calibration: { sampels: 3 } }, 'recipe.calibration.sampels', 'Did you mean "samples"?'],
    [{ quantizer: { name: 'gptq', optoins: {} } }, 'recipe.quantizer.optoins', 'Did you mean "options"?'],
    [{ transforms: ['awq', { name: 'awq', option: {} }] }, 'recipe.transforms.1.option', 'Did you mean "options"?'],
    [{ scheme: { nam: 'x' } }, 'recipe.scheme.nam', 'Did you mean "name"?'],
    [{ importance: { fil: 'x' } }, 'recipe.importance.fil', 'Did you mean "file"?'],
    [{ importance: { calibration: { sampels: 3 } } }, 'recipe.importance.calibration.sampels', 'Did you mean "samples"?'],
    [{ zzz: 1 }, 'recipe.zzz', 'Known options here: version, transforms, quantizer'],
  ])('names an unknown option, its path and the nearest known one: %j', (input, option, hint) => {
    const error = refusal(() => parseRecipe(input));
    expect(error).toMatchObject({ code: 'INVALID_RECIPE', details: { option } });
    expect(error.message).toContain(`Unknown option "${option}".`);
    expect(error.message).toContain(hint);
  });

  it.each([
    [{ calibration: { samples: 0 } }, 'recipe.calibration.samples', />=1/],
    [{ calibration: { source: 'web' } }, 'recipe.calibration.source', /"self"/],
    [{ version: 'v2' }, 'recipe.version', /v1/],
    [{ quantizer: 7 }, 'recipe.quantizer', /expected string or object/],
    [{ quantizer: '' }, 'recipe.quantizer', /Too small/],
    [{ transforms: [{ options: {} }] }, 'recipe.transforms.0.name', /expected string/],
    [{ overrides: { 'lm_head*': 4 } }, 'recipe.overrides.lm_head*', /expected string or object/],
    [{ overrides: { '*': { options: 4 } } }, 'recipe.overrides.*.options', /expected record/],
    [{ importance: { file: 3 } }, 'recipe.importance.file', /expected string/],
    ['gptq', 'recipe', /A recipe is a JSON object, found "gptq"\./],
    [null, 'recipe', /found null\./],
    [[], 'recipe', /found a list\./],
    [3, 'recipe', /found 3\./],
  ])('names what is wrong in %j', (input, option, message) => {
    const error = refusal(() => parseRecipe(input));
    expect(error).toMatchObject({ code: 'INVALID_RECIPE', details: { option } });
    expect(error.message).toMatch(message);
  });
});

describe('parseOptions', () => {
  it('checks the options of a plug-in under their own path', () => {
    const schema = z.strictObject({ actOrder: z.boolean().default(false), nested: z.strictObject({ percent: z.number() }).optional() });
    expect(parseOptions(schema, {}, 'gptq')).toEqual({ actOrder: false });
    expect(refusal(() => parseOptions(schema, { actOrdr: true }, 'gptq')).message).toMatch(/"gptq.actOrdr". Did you mean "actOrder"\?/);
    expect(refusal(() => parseOptions(schema, { nested: { percnt: 1 } }, 'gptq')).message).toMatch(
      /"gptq.nested.percnt". Did you mean "percent"\?/,
    );
  });
});

describe('recipeJsonSchema', () => {
  it('describes what a recipe file may hold', () => {
    const schema = recipeJsonSchema() as {
      type: string;
      properties: Record<string, any>;
      additionalProperties: boolean;
      required?: string[];
    };
    expect(schema.type).toBe('object');
    expect(schema.additionalProperties).toBe(false);
    expect(schema.required ?? []).toEqual([]);
    expect(Object.keys(schema.properties)).toEqual([
      'version',
      'transforms',
      'quantizer',
      'calibrator',
      'scheme',
      'format',
      'calibration',
      'statistics',
      'importance',
      'target',
      'propagate',
      'activations',
      'keepActivations',
      'kvCache',
      'activationCalibrator',
      'roundedCalibration',
      'quantizeLmHead',
      'keep',
      'overrides',
    ]);
    expect(schema.properties['scheme'].description).toMatch(/int4-g128-asym/);
    expect(schema.properties['calibration'].properties.samples).toMatchObject({ type: 'integer', default: 256, minimum: 1 });
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
  });
});
