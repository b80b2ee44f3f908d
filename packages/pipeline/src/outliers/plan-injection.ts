import { createRng } from '@calibrant/core';
import { type ArchitectureDescription, type FoldableInput, foldableInputs, type Predecessor, type WeightRef } from '@calibrant/transformer';

/** Factors of one stored tensor: of its rows and columns as they lie in the file, and what is added before and taken off after (norms by 1 + weight). */
export interface ChannelFactors {
  readonly rows?: Float64Array;
  readonly columns?: Float64Array;
  readonly offset: number;
}

/** A place where channels were made larger. */
export interface Injection {
  readonly block: number;
  /** The value whose channels are larger now. */
  readonly point: string;
  readonly channels: readonly number[];
  /** Whether these are dimensions of the residual stream. */
  readonly residual: boolean;
  /** The weight that makes them larger, and those that take it back. */
  readonly previous: string;
  readonly linears: readonly string[];
}

export interface InjectionPlan {
  /** The dimensions of the residual stream that become outliers; none where no norm can be scaled. */
  readonly dimensions: readonly number[];
  readonly injections: readonly Injection[];
  /** Inputs that could not be changed, and why. */
  readonly skipped: readonly { readonly block: number; readonly point: string; readonly reason: string }[];
  readonly factors: ReadonlyMap<string, ChannelFactors>;
  /** Whether a norm by 1 + weight is changed, which rounds for every factor. */
  readonly offsets: boolean;
}

export interface InjectionSettings {
  readonly channels: number;
  readonly factor: number;
  readonly seed: number;
  /** Also between v and o, and between up and down, in channels of their own. */
  readonly inner: boolean;
}

/** Decides which channels become larger where: the same dimensions of the residual stream in all blocks, others inside of attention and MLP. */
export function planInjection(description: ArchitectureDescription, { channels, factor, seed, inner }: InjectionSettings): InjectionPlan {
  const random = createRng(seed);
  const dimensions = pick(random, description.hiddenSize, channels);
  const [injections, skipped]: [Injection[], InjectionPlan['skipped'][number][]] = [[], []];
  const factors = new Map<string, ChannelFactors>();
  let offsets = false;
  for (const input of foldableInputs(description)) {
    const { block, value, previous, residual } = input;
    if (block === 'head' || !(residual || inner)) continue;
    if (!previous || Array.isArray(previous.weight.stored)) {
      skipped.push({ block, point: value, reason: input.reason ?? `${previous?.weight.name} is stored in several parts.` });
      continue;
    }
    const rows = residual ? new Set(dimensions.map((dimension) => previous.rows[dimension])) : pickRows(random, previous, channels);
    scale(input, previous, rows);
    injections.push({
      block,
      point: value,
      channels: [...previous.rows.keys()].filter((channel) => rows.has(previous.rows[channel])),
      residual,
      previous: previous.weight.name,
      linears: input.linears.map(({ weight }) => weight.name),
    });
    offsets ||= previous.offset !== 0;
  }
  return { dimensions: injections.some(({ residual }) => residual) ? dimensions : [], injections, skipped, factors, offsets };

  function scale(
    { linears, width }: FoldableInput,
    { kind, weight, bias, offset, rows: made }: Predecessor,
    rows: ReadonlySet<number>,
  ): void {
    const ofRows = Float64Array.from({ length: weight.shape[0] }, (_, row) => (rows.has(row) ? factor : 1));
    // A vector lies in the file as one row.
    if (kind === 'norm') multiply(weight.name, { columns: ofRows, offset });
    else multiply(weight.name, { ...asStored(weight, ofRows, undefined), offset });
    if (bias) multiply(bias.name, { columns: ofRows, offset: 0 });
    const ofColumns = Float64Array.from({ length: width }, (_, channel) => (rows.has(made[channel]) ? 1 / factor : 1));
    for (const linear of linears) multiply(linear.weight.name, { ...asStored(linear.weight, undefined, ofColumns), offset: 0 });
  }

  /** A tensor can be scaled twice: v_proj by its rows and by its columns. */
  function multiply(name: string, more: ChannelFactors): void {
    const before = factors.get(name);
    const times = (a: Float64Array | undefined, b: Float64Array | undefined) => (a && b ? a.map((value, i) => value * b[i]) : (a ?? b));
    const [rows, columns] = [times(before?.rows, more.rows), times(before?.columns, more.columns)];
    factors.set(name, { ...(rows ? { rows } : {}), ...(columns ? { columns } : {}), offset: more.offset });
  }
}

function asStored(
  { stored }: WeightRef,
  rows: Float64Array | undefined,
  columns: Float64Array | undefined,
): Omit<ChannelFactors, 'offset'> {
  const [first, second] = stored === 'transposed' ? [columns, rows] : [rows, columns];
  return { ...(first ? { rows: first } : {}), ...(second ? { columns: second } : {}) };
}

/** Some of the numbers below n, ascending. */
function pick(random: ReturnType<typeof createRng>, n: number, count: number): number[] {
  const all = random.shuffle(Array.from({ length: n }, (_, i) => i));
  return all.slice(0, count).sort((a, b) => a - b);
}

function pickRows(random: ReturnType<typeof createRng>, { rows }: Predecessor, count: number): Set<number> {
  const all = [...new Set(rows)];
  return new Set(pick(random, all.length, Math.min(count, all.length)).map((i) => all[i]));
}
