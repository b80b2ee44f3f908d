import {
  type BlockGrid,
  type BlockScheme,
  type BlockTensor,
  type BufferHandle,
  CalibrantError,
  checkBlockLayer,
  type LinearLayer,
  type QuantizedLayer,
  type QuantizerContext,
  tensor,
  throwIfAborted,
  withBuffers,
} from '@calibrant/core';
import { asymmetricTarget } from './asymmetric-target.js';
import { type BlockCandidate, bestRows } from './best-rows.js';
import { type DiagonalFacts, factorHessian, readDiagonal } from './factor.js';
import { meanSquaredError, valueErrors } from './layer-error.js';
import { type ChosenHessian, withHessian } from './layer-hessian.js';
import type { ResolvedGptqOptions } from './options.js';
import { planColumns } from './order.js';
import { solveLayer } from './solve-layer.js';

/**
 * GPTQ inside the blocks of a file format: the type's encoder finds the scales of each block on the weights as compensated so far, weighing
 * errors by the Hessian's diagonal; the column loop picks the codes on the grid that the block's bytes then say. What runs the type runs the result.
 *
 * The order of columns is free inside a block and over blocks (`group-aware`); `full` fits all scales to the original weights first.
 * The facts are those of integer grids, with `rtnError` that of the plain encoder and `weightedError` that of the encoder with importance.
 */
export async function quantizeBlocks(
  layer: LinearLayer<BlockScheme>,
  options: ResolvedGptqOptions,
  context: QuantizerContext,
): Promise<QuantizedLayer<BlockTensor>> {
  throwIfAborted(context.signal);
  const { grid } = layer.scheme;
  if (!grid)
    throw new CalibrantError(
      'UNSUPPORTED',
      `GPTQ cannot choose the codes of ${layer.scheme.type} for "${layer.name}": the type does not code its values one by one.`,
      { tensor: layer.name },
    );
  await checkBlockLayer(context.backend, layer);
  throwIfAborted(context.signal);
  return withHessian(context.backend, layer, options, context.warn, async (chosen) => {
    if (chosen.useless !== undefined) return fallBack(layer, context, chosen.useless);
    const facts = await readDiagonal(context.backend, chosen.hessian);
    if (!facts) return fallBack(layer, context, 'its Hessian is not finite, or no calibration token reached it');
    return quantizeWithHessian({ ...layer, grid }, chosen, facts, options, context);
  });
}

function quantizeWithHessian(
  layer: LinearLayer<BlockScheme> & { readonly grid: BlockGrid },
  { hessian, deviation, ofAllExperts }: ChosenHessian,
  facts: DiagonalFacts,
  options: ResolvedGptqOptions,
  context: QuantizerContext,
): Promise<QuantizedLayer<BlockTensor>> {
  const { backend, signal, warn } = context;
  const { weight, scheme, name } = layer;
  const scattered = options.actOrder === 'full';
  const plan = planColumns(facts.diagonal, scheme.blockSize, { ...options, staticGroups: options.staticGroups || scattered });
  return withBuffers(backend, async (track) => {
    const order = track(await backend.upload(tensor('i32', [plan.order.length], plan.order)));
    const factor = await factorHessian(hessian, facts, order, options.dampPercent, context);
    if (!factor) return fallBack(layer, context, 'its Hessian is not positive definite even with 100 times the damping');
    if (factor.dampPercent > options.dampPercent)
      warn(`GPTQ raised the damping of "${name}" from ${options.dampPercent} to ${factor.dampPercent}: its Hessian is close to singular.`);
    const u = track(factor.u);
    const target = deviation
      ? track(await asymmetricTarget(backend, { weight, deviation, u, order: plan.order, dead: facts.dead, alpha: options.gptaqAlpha }))
      : weight;
    const solved = track(await solveLayer({ ...layer, weight: target }, facts, u, plan, context));
    const importance = track(await backend.upload(tensor('f32', [facts.diagonal.length], facts.diagonal)));
    const candidate = async (blocks: BufferHandle): Promise<BlockCandidate> => {
      const values = track(backend.run(scheme.decode, { blocks }, {}).x);
      const errors = await valueErrors(backend, target, hessian, values);
      throwIfAborted(signal);
      return { bytes: (await backend.download(blocks)).data as Uint8Array, errors };
    };
    const compensated = await candidate(solved);
    const plain = await candidate(track(backend.run(scheme.encode, { x: weight }, {}).blocks));
    const weighted = await candidate(track(backend.run(scheme.encode, { x: weight, importance }, {}).blocks));
    const rowBytes = solved.shape[1];
    const [rtnError, weightedError] = [plain, weighted].map(({ errors }) => meanSquaredError(errors));
    const { kept, replaced } = options.keepBetterRows
      ? bestRows([compensated, weighted, plain], rowBytes)
      : { kept: compensated, replaced: 0 };
    return {
      tensor: { kind: 'block', scheme, shape: weight.shape, bytes: kept.bytes },
      facts: {
        error: meanSquaredError(kept.errors),
        rtnError,
        weightedError,
        dampPercent: factor.dampPercent,
        deadChannels: facts.deadChannels,
        rowsKeptRtn: replaced,
        ...(ofAllExperts ? { fallback: 'all-experts' } : {}),
      },
    };
  });
}

/** The type's own encoding, for layers whose Hessian is of no use. */
async function fallBack(
  { name, weight, scheme }: LinearLayer<BlockScheme>,
  { backend, warn }: QuantizerContext,
  why: string,
): Promise<QuantizedLayer<BlockTensor>> {
  warn(`GPTQ rounded "${name}" to nearest: ${why}.`);
  const { blocks } = backend.run(scheme.encode, { x: weight }, {});
  const bytes = (await backend.download(blocks).finally(() => backend.free(blocks))).data as Uint8Array;
  return { tensor: { kind: 'block', scheme, shape: weight.shape, bytes }, facts: { fallback: 'rtn' } };
}
