import type { ActivationKind } from '@calibrant/core';
import type { Step } from '../../description.js';
import { linear } from './steps.js';

interface MlpPart {
  /** Start of the tensors' names: `model.layers.0.mlp`. */
  readonly prefix: string;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly kind: ActivationKind;
  readonly bias?: boolean;
  /** The input; `mlpInput` if absent. */
  readonly input?: string;
  /** Start of the values' names, `mlp` if absent: the last one is `mlpProjected`. */
  readonly values?: string;
}

export interface GatedMlpPart extends MlpPart {
  /** Names of the projections; a fused one holds the gate's rows, then those of up. Those of Llama if absent. */
  readonly projections?:
    | { readonly gate: string; readonly up: string; readonly down: string }
    | { readonly fused: string; readonly down: string };
}

const LLAMA = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' };

/** `down(activation(gate(x)) · up(x))`. */
export function gatedMlp(part: GatedMlpPart): Step[] {
  const { prefix, hiddenSize, intermediateSize, kind, bias = false, input = 'mlpInput', values = 'mlp', projections = LLAMA } = part;
  const [gate, up, both] = [`${values}Gate`, `${values}Up`, `${values}GateUp`];
  const project = (output: string, name: string, rows: number): Step =>
    linear({ input, output, name: `${prefix}.${name}`, shape: [rows, hiddenSize], bias });
  const steps: Step[] =
    'fused' in projections
      ? [
          project(both, projections.fused, 2 * intermediateSize),
          { op: 'columns', input: both, output: gate, groups: 1, start: 0, width: intermediateSize },
          { op: 'columns', input: both, output: up, groups: 1, start: intermediateSize, width: intermediateSize },
        ]
      : [project(gate, projections.gate, intermediateSize), project(up, projections.up, intermediateSize)];
  return [...steps, { op: 'activation', input: gate, up, output: `${values}Hidden`, kind }, down(part, projections.down, bias)];
}

export interface PlainMlpPart extends MlpPart {
  readonly projections: { readonly up: string; readonly down: string };
  readonly transposed?: boolean;
}

/** `down(activation(up(x)))`. */
export function plainMlp(part: PlainMlpPart): Step[] {
  const {
    prefix,
    hiddenSize,
    intermediateSize,
    kind,
    bias = true,
    input = 'mlpInput',
    values = 'mlp',
    projections,
    transposed = false,
  } = part;
  const up = `${values}Up`;
  return [
    linear({ input, output: up, name: `${prefix}.${projections.up}`, shape: [intermediateSize, hiddenSize], bias, transposed }),
    { op: 'activation', input: up, output: `${values}Hidden`, kind },
    down(part, projections.down, bias, transposed),
  ];
}

function down({ prefix, hiddenSize, intermediateSize, values = 'mlp' }: MlpPart, name: string, bias: boolean, transposed = false): Step {
  const [input, output] = [`${values}Hidden`, `${values}Projected`];
  return linear({ input, output, name: `${prefix}.${name}`, shape: [hiddenSize, intermediateSize], bias, transposed });
}
