import { createReferenceBackend, type PlannedTensor, type TensorScheme } from '@calibrant/core';
import { quantizeModel } from '@calibrant/pipeline';
import { describe, expect, it } from '@jest/globals';
import { checkGroupSizes } from '../src/plan/check-group-sizes.js';
import { matchesPattern } from '../src/plan/patterns.js';
import { plannedBytes, schemeLabel } from '../src/plan/planned-bytes.js';
import { scratchFolder, testRegistry } from './fixture.js';
import { writeRandomModel } from './random-model.js';

const planned = (shape: number[], scheme: TensorScheme): PlannedTensor => ({ name: 't', source: 'model.t.weight', shape, scheme });
const int4 = (groupSize: number): TensorScheme => ({ kind: 'affine', bits: 4, granularity: 'group', groupSize, symmetric: false });

describe('patterns of tensor names', () => {
  it('let * stand for any characters and everything else for itself', () => {
    expect(matchesPattern('model.layers.0.mlp.up_proj.weight', 'model.layers.0.*')).toBe(true);
    expect(matchesPattern('model.layers.10.mlp.up_proj.weight', 'model.layers.1.*')).toBe(false);
    expect(matchesPattern('modelXlayers', 'model.layers')).toBe(false);
    expect(matchesPattern('lm_head.weight', '*head*')).toBe(true);
  });
});

describe('planned sizes', () => {
  it('count codes, scales and zero points of integer grids', () => {
    expect(plannedBytes(planned([256, 512], int4(128)))).toBe((256 * 512) / 2 + 256 * 4 * 2 + (256 * 4) / 2);
    expect(plannedBytes(planned([10, 20], { kind: 'affine', bits: 8, granularity: 'tensor', symmetric: true }))).toBe(200 + 2);
    expect(plannedBytes(planned([10, 20], { kind: 'float', dtype: 'bf16' }))).toBe(400);
  });

  it('are labelled by the names that recipes use', () => {
    expect(schemeLabel(int4(64))).toBe('int4-g64-asym');
    expect(schemeLabel({ kind: 'float', dtype: 'f16' })).toBe('f16');
  });
});

describe('a group size that does not divide', () => {
  it('is refused with the tensors and the sizes that fit', () => {
    const plan = [planned([8, 96], int4(128)), planned([8, 192], int4(128))];
    expect(() => checkGroupSizes(plan)).toThrow(
      /group size 128 does not divide the rows of 2 tensors: model.t.weight \(96 inputs\).*fit every quantized tensor: 16, 32, 96/s,
    );
  });

  it('suggests one scale per row when nothing fits', () => {
    expect(() => checkGroupSizes([planned([8, 101], int4(32))])).toThrow(/int4-channel-sym/);
  });

  it('passes when all rows divide', () => {
    expect(() => checkGroupSizes([planned([8, 256], int4(128))])).not.toThrow();
  });
});

describe('a scheme whose blocks fit no row', () => {
  it('is refused as such', async () => {
    const scratch = await scratchFolder();
    await writeRandomModel(scratch.path('model'), 'mixtral', { hidden_size: 24, num_attention_heads: 3, num_key_value_heads: 1 });
    const recipe = { scheme: 'Q8_0', format: { name: 'gguf', options: { tokenizer: 'none' } } };
    const options = { registry: testRegistry(), backend: createReferenceBackend(), dryRun: true };
    await expect(quantizeModel({ model: scratch.path('model'), out: scratch.path('out'), recipe, ...options })).rejects.toThrow(
      /quantizes no tensor: the blocks of Q8_0 divide the rows of none/,
    );
    await scratch.clean();
  });
});
