import {
  CalibrantError,
  type Checkpoint,
  type CodedInfo,
  type Format,
  type FormatInput,
  type OutputTensor,
  type PlannedTensor,
  type Registry,
  type TensorScheme,
  toDtype,
  toF32,
} from '@calibrant/core';
import { schemeLabel } from '../plan/planned-bytes.js';
import { assignScheme } from '../plan/resolve-scheme.js';

/** What happens to a tensor of the output: its codes go over as they are, it is rounded again, or it was not quantized. */
export type ConversionStep = 'exact' | 'requantized' | 'copied';

export interface ConvertedTensor {
  readonly planned: PlannedTensor;
  readonly step: ConversionStep;
  /** The grid of the source, for people. */
  readonly from: string;
  /** Why codes could not go over as they are. */
  readonly reason?: string;
}

export interface ConversionPlanInput {
  readonly checkpoint: Checkpoint;
  readonly format: Format;
  readonly formatOptions: unknown;
  readonly input: FormatInput;
  readonly registry: Registry;
  /** The scheme of tensors whose codes cannot go over; they are refused without one. */
  readonly lossyScheme: string | undefined;
}

/**
 * Decides for each tensor of the output whether its codes can be taken over.
 *
 * @throws CalibrantError `UNSUPPORTED` with the tensors and reasons when some cannot and rounding again was not allowed.
 */
export async function planConversion(input: ConversionPlanInput): Promise<ConvertedTensor[]> {
  const { checkpoint, format, formatOptions, registry } = input;
  const { facts } = input.input;
  const outputs = await format.outputs(input.input, formatOptions);
  const steps: ConvertedTensor[] = [];
  const lossy: { readonly output: OutputTensor; readonly from: string; readonly reason: string }[] = [];
  for (const output of outputs) {
    const coded = sourcesOf(output).flatMap((name) => checkpoint.tensors.get(name)?.coded ?? []);
    if (coded.length === 0) {
      const info = checkpoint.tensors.get(sourcesOf(output)[0] ?? '');
      const planned = { ...output, scheme: format.floatScheme(output, facts, formatOptions) };
      steps.push({ planned, step: 'copied', from: info?.storage ?? info?.dtype ?? 'made' });
      continue;
    }
    const from = schemeLabel(coded[0].scheme);
    const found = await exactScheme(output, coded, input);
    if (typeof found === 'string') lossy.push({ output, from, reason: found });
    else steps.push({ planned: { ...output, scheme: found }, step: 'exact', from });
  }
  if (lossy.length > 0 && input.lossyScheme === undefined) throw refusal(format, lossy);
  if (lossy.length === 0) return steps;
  const assigned = assignScheme(
    { name: input.lossyScheme as string, options: {} },
    lossy.map(({ output }) => output),
    facts,
    registry,
    true,
  );
  for (const { output, from, reason } of lossy) {
    const scheme = assigned.get(output.name) ?? format.floatScheme(output, facts, formatOptions);
    const accepted = format.accepts(scheme);
    if (accepted !== true) throw new CalibrantError('UNSUPPORTED', accepted, { tensor: output.name, option: '--scheme' });
    steps.push({ planned: { ...output, scheme }, step: 'requantized', from, reason });
  }
  return steps;
}

export function sourcesOf({ source, stacked }: OutputTensor): readonly string[] {
  return stacked ?? (source === undefined ? [] : [source]);
}

/** The scheme under which the output holds the codes, or the reason why it cannot. */
async function exactScheme(
  output: OutputTensor,
  coded: readonly CodedInfo[],
  { checkpoint, format }: ConversionPlanInput,
): Promise<TensorScheme | string> {
  const [first] = coded;
  const label = schemeLabel(first.scheme);
  const sources = sourcesOf(output);
  if (coded.length !== sources.length || coded.some(({ scheme }) => schemeLabel(scheme) !== label))
    return 'its parts are on different grids';
  if (output.transposed || output.add !== undefined) return `the format ${format.name} stores other values`;
  const scheme = coded.every((each) => each.ordered === true)
    ? format.exact?.(first)
    : coded.some(({ ordered }) => ordered)
      ? undefined
      : exactGrid(format, first);
  if (!scheme) {
    if (coded.some(({ ordered }) => ordered))
      return `its groups are not contiguous (act-order), which the format ${format.name} cannot express`;
    const accepted = format.exact ? true : format.accepts(first.scheme);
    return accepted === true ? `the format ${format.name} has no place for ${label}` : accepted;
  }
  if (scheme.kind === 'block' && first.scheme.kind === 'affine' && coded.some(({ scaleDtype }) => scaleDtype !== 'f16'))
    for (const name of sources)
      if (!(await halfScales(checkpoint, name))) return `${scheme.type} has 16-bit scales, which would round those of the source`;
  return scheme;
}

function exactGrid(format: Format, coded: CodedInfo): TensorScheme | undefined {
  if (format.exact) return format.exact(coded);
  return format.accepts(coded.scheme) === true ? coded.scheme : undefined;
}

/** Whether binary16 holds the scales of a tensor exactly. */
async function halfScales(checkpoint: Checkpoint, name: string): Promise<boolean> {
  const coded = await checkpoint.readCoded?.(name);
  if (coded?.kind !== 'affine') return false;
  const halves = toF32(toDtype(coded.scales, 'f16'));
  return (coded.scales.data as Float32Array).every((scale, i) => scale === halves[i]);
}

function refusal(format: Format, lossy: readonly { readonly output: OutputTensor; readonly from: string; readonly reason: string }[]) {
  const reasons = new Map<string, string[]>();
  for (const { output, from, reason } of lossy)
    reasons.set(`${from}: ${reason}`, [...(reasons.get(`${from}: ${reason}`) ?? []), output.source ?? output.name]);
  const listed = [...reasons].map(([reason, names]) => `${names.length} tensors such as ${names[0]} (${reason.replace(/\.$/, '')})`);
  return new CalibrantError(
    'UNSUPPORTED',
    `Not every tensor can go to ${format.name} without rounding: ${listed.join('; ')}. Choose a format that holds these codes, or round them again with --allow-lossy.`,
    { option: '--allow-lossy', tensor: lossy[0].output.source ?? lossy[0].output.name },
  );
}
