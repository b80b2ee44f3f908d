import {
  type AffineScheme,
  affineTensor,
  type Backend,
  type BoundCalibrator,
  type BufferHandle,
  checkAffineLayer,
  defineQuantizer,
  fitScheme,
  type LinearLayer,
  parseOptions,
  type QuantizedLayer,
  type Quantizer,
  type QuantizerContext,
  roundToGrid,
  schemeGroupSize,
  tensor,
  throwIfAborted,
  withBuffers,
} from '@calibrant/core';
import { asymmetricTarget } from './asymmetric-target.js';
import { type DiagonalFacts, factorHessian, readDiagonal } from './factor.js';
import { keepBetterRows, type SolvedRows } from './keep-better-rows.js';
import { type CodedBuffers, meanSquaredError, rowErrors } from './layer-error.js';
import { type ChosenHessian, withHessian } from './layer-hessian.js';
import { type GptqOptions, gptqSchema, type ResolvedGptqOptions } from './options.js';
import { planColumns } from './order.js';
import { quantizeBlocks } from './quantize-blocks.js';
import { solveColumns } from './solve-columns.js';

/**
 * GPTQ (Frantar et al., arXiv 2210.17323): quantizes the columns of a weight one after the other and spreads each column's error over the
 * columns that are left, so that the layer's outputs on the calibration data change least. `options` become the defaults.
 *
 * `quantize` needs `observations.hessian` and returns the facts `error` and `rtnError` (mean squared error of the layer's outputs on
 * the calibration tokens, for this result and for round-to-nearest), `dampPercent` (what it took), `deadChannels`, `rowsKeptRtn`
 * and, where the Hessian could not be used even with 100 times the damping, or when too few tokens reached the layer, `fallback: 'rtn'` after a warning that names the layer.
 *
 * With `asymmetricCalibration` it also asks for `observations.deviation` and minimizes the distance to the outputs of the full-precision model (GPTAQ, arXiv 2504.02692); `error`
 * and `rtnError` then leave out the part of it that no weight can change. Layers without a deviation are quantized by plain GPTQ.
 *
 * A calibrator in the context chooses the grids from the weights as they were, as with `staticGroups`.
 *
 * It throws `INVALID_ARGUMENT` without a Hessian, `SHAPE_MISMATCH` when the group size does not divide a row or the Hessian does not fit,
 * `NON_FINITE` for NaN or infinite weights and `ABORTED` when the signal fires.
 *
 * @example
 * const plugins = [gptq({ actOrder: 'group-aware', dampPercent: 0.05 })];
 */
export function gptq(options: GptqOptions = {}): Quantizer<ResolvedGptqOptions> {
  return defineQuantizer<ResolvedGptqOptions>({
    name: 'gptq',
    meta: {
      description: 'GPTQ: compensates each rounding error in the columns that are left',
      source: 'https://arxiv.org/abs/2210.17323',
      package: '@calibrant/gptq',
    },
    options: gptqSchema(parseOptions(gptqSchema(), options, 'gptq')),
    needs: ['hessian'],
    alsoNeeds: ({ asymmetricCalibration }) => (asymmetricCalibration ? ['deviation'] : []),
    async quantize(layer, resolved, context) {
      throwIfAborted(context.signal);
      await checkAffineLayer(context.backend, layer);
      throwIfAborted(context.signal);
      return withHessian(context.backend, layer, resolved, context.warn, async (chosen) => {
        if (chosen.useless !== undefined) return fallBack(layer, context, chosen.useless);
        const facts = await readDiagonal(context.backend, chosen.hessian);
        if (!facts) return fallBack(layer, context, 'its Hessian is not finite, or no calibration token reached it');
        return quantizeWithHessian(layer, chosen, facts, resolved, context);
      });
    },
    quantizeBlocks,
  });
}

function quantizeWithHessian(
  layer: LinearLayer,
  { hessian, deviation, ofAllExperts }: ChosenHessian,
  facts: DiagonalFacts,
  options: ResolvedGptqOptions,
  context: QuantizerContext,
): Promise<QuantizedLayer> {
  const { backend, signal, warn, calibrator } = context;
  const { weight, scheme, name } = layer;
  const columns = weight.shape[1];
  const groupSize = schemeGroupSize(scheme, columns);
  // Calibrators choose ranges of weights as they were.
  const plan = planColumns(facts.diagonal, groupSize, { ...options, staticGroups: options.staticGroups || calibrator !== undefined });
  return withBuffers(backend, async (track) => {
    const upload = async (...[dtype, data]: ['i32', Int32Array] | ['u8', Uint8Array]) =>
      track(await backend.upload(tensor(dtype, [data.length], data)));
    const order = await upload('i32', plan.order);
    const dead = await upload('u8', facts.dead);
    const groups = await upload('i32', plan.groups);
    const factor = await factorHessian(hessian, facts, order, options.dampPercent, context);
    if (!factor) return fallBack(layer, context, 'its Hessian is not positive definite even with 100 times the damping');
    if (factor.dampPercent > options.dampPercent)
      warn(`GPTQ raised the damping of "${name}" from ${options.dampPercent} to ${factor.dampPercent}: its Hessian is close to singular.`);
    const u = track(factor.u);
    const target = deviation
      ? track(await asymmetricTarget(backend, { weight, deviation, u, order: plan.order, dead: facts.dead, alpha: options.gptaqAlpha }))
      : weight;
    const rounded = await roundedToNearest(backend, weight, scheme, calibrator);
    const grid = deviation ? await fitScheme(backend, target, scheme, calibrator) : rounded;
    for (const buffer of new Set([...Object.values(rounded), ...Object.values(grid)])) track(buffer);
    const fixed = plan.fixedGrid || scheme.granularity === 'tensor' || calibrator !== undefined;
    const { work, ...solved } = backend.run(
      solveColumns,
      {
        w: target,
        u,
        order,
        dead,
        groups,
        fixedScales: fixed ? grid.scales : undefined,
        fixedZeroPoints: fixed ? grid.zeroPoints : undefined,
      },
      { bits: scheme.bits, symmetric: scheme.symmetric, groupSize, groupCount: grid.scales.shape[1], blockSize: options.blockSize },
    );
    backend.free(work);
    for (const buffer of Object.values(solved)) track(buffer);

    const groupIndex = plan.groupIndex && (await upload('i32', plan.groupIndex));
    const download = async (coded: typeof rounded, index?: BufferHandle): Promise<SolvedRows> => {
      const { codes, scales, zeroPoints } = coded;
      const errors = await rowErrors(backend, target, hessian, { codes, scales, zeroPoints, groupIndex: index }, groupSize);
      throwIfAborted(signal);
      const [codesValue, scalesValue, zeroPointsValue] = await Promise.all([codes, scales, zeroPoints].map((of) => backend.download(of)));
      return { codes: codesValue, scales: scalesValue, zeroPoints: zeroPointsValue, errors };
    };
    const rtn = await download(rounded);
    const compensated = { ...(await download(solved, groupIndex)), groupIndex: plan.groupIndex };
    const { kept, rowsKeptRtn } = options.keepBetterRows ? keepBetterRows(compensated, rtn) : { kept: compensated, rowsKeptRtn: 0 };
    return {
      tensor: affineTensor(scheme, kept, kept.groupIndex),
      facts: {
        error: meanSquaredError(kept.errors),
        rtnError: meanSquaredError(rtn.errors),
        dampPercent: factor.dampPercent,
        deadChannels: facts.deadChannels,
        rowsKeptRtn,
        ...(ofAllExperts ? { fallback: 'all-experts' } : {}),
      },
    };
  });
}

/** Round-to-nearest, for layers whose Hessian is of no use. */
function fallBack(layer: LinearLayer, { backend, warn, calibrator }: QuantizerContext, why: string): Promise<QuantizedLayer> {
  warn(`GPTQ rounded "${layer.name}" to nearest: ${why}.`);
  return withBuffers(backend, async (track) => {
    const { scheme, weight } = layer;
    const { codes, scales, zeroPoints } = await roundedToNearest(backend, weight, scheme, calibrator);
    for (const buffer of [codes, scales, zeroPoints]) track(buffer);
    const [codesValue, scalesValue, zeroPointsValue] = await Promise.all([codes, scales, zeroPoints].map((of) => backend.download(of)));
    return {
      tensor: affineTensor(scheme, { codes: codesValue, scales: scalesValue, zeroPoints: zeroPointsValue }),
      facts: { fallback: 'rtn' },
    };
  });
}

async function roundedToNearest(
  backend: Backend,
  weight: BufferHandle,
  scheme: AffineScheme,
  calibrator: BoundCalibrator | undefined,
): Promise<CodedBuffers> {
  const grid = await fitScheme(backend, weight, scheme, calibrator);
  return { ...grid, codes: roundToGrid(backend, weight, grid, scheme) };
}
