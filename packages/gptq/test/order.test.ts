import { gptq, gptqSchema, planColumns } from '@calibrant/gptq';
import { describe, expect, it } from '@jest/globals';
import { correlatedHessian, normalWeight, quantizeLayer } from './quantize-layer.js';

const defaults = gptqSchema().parse({});
const diagonal = Float32Array.of(1, 4, 2, 2, 9, 0, 3, 5);

describe('the order of columns', () => {
  it('is that of storage without act-order', () => {
    const plan = planColumns(diagonal, 4, { ...defaults, actOrder: 'none' });
    expect([...plan.order]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect([...plan.groups]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect(plan.groupIndex).toBeUndefined();
  });

  it('is by descending importance with full act-order, ties in storage order, groups scattered', () => {
    const plan = planColumns(diagonal, 4, { ...defaults, actOrder: 'full' });
    expect([...plan.order]).toEqual([4, 7, 1, 6, 2, 3, 0, 5]);
    expect([...plan.groups]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect([...plan.groupIndex!]).toEqual([1, 0, 1, 1, 0, 1, 0, 0]);
  });

  it('keeps groups in storage with full act-order and static groups', () => {
    const plan = planColumns(diagonal, 4, { ...defaults, actOrder: 'full', staticGroups: true });
    expect([...plan.groups]).toEqual([1, 1, 0, 1, 0, 0, 0, 1]);
    expect([plan.fixedGrid, plan.groupIndex]).toEqual([true, undefined]);
  });

  it('is by groups, and by importance inside them, with group-aware order', () => {
    const plan = planColumns(diagonal, 4, { ...defaults, actOrder: 'group-aware' });
    expect([...plan.order]).toEqual([4, 7, 6, 5, 1, 2, 3, 0]);
    expect([...plan.groups]).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    expect(plan.groupIndex).toBeUndefined();
  });

  it('needs no group index for one scale per row', () => {
    expect(planColumns(diagonal, 8, { ...defaults, actOrder: 'full' }).groupIndex).toBeUndefined();
  });

  it('reaches the tensor: only full act-order without static groups has a group index', async () => {
    const weight = normalWeight(4, 16, 1);
    const hessian = correlatedHessian(16, 60, 2);
    const indexWith = async (options: object) => (await quantizeLayer(weight, hessian, 'int4-g4-asym', options)).tensor.groupIndex;
    expect([...(await indexWith({ actOrder: 'full' }))!].sort()).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
    expect(await indexWith({ actOrder: 'full', staticGroups: true })).toBeUndefined();
    expect(await indexWith({ actOrder: 'group-aware' })).toBeUndefined();
  });
});

describe('options', () => {
  it('given to the factory become the defaults of the plug-in', () => {
    const parsed = gptq({ actOrder: 'full', dampPercent: 0.05 }).options.parse({ blockSize: 64 });
    expect(parsed).toEqual({ ...defaults, actOrder: 'full', dampPercent: 0.05, blockSize: 64 });
  });

  it('that do not exist are answered with the nearest one', () => {
    expect(() => gptq({ dampPercnt: 1 } as object)).toThrow(/Unknown option "gptq.dampPercnt". Did you mean "dampPercent"/);
  });
});
