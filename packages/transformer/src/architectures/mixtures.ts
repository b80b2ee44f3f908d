import type { Step } from '../description.js';
import { describeLlama, type LlamaTraits } from './llama-family.js';
import { activationKind } from './parts/activation-name.js';
import type { ConfigReader } from './parts/config-reader.js';
import { expertCount, experts } from './parts/experts.js';
import { gatedMlp } from './parts/mlp.js';
import { type Architecture, architecture } from './parts/plugin.js';
import type { DecoderSizes } from './parts/sizes.js';
import { linear } from './parts/steps.js';

const MIXTRAL: LlamaTraits = {
  name: 'mixtral',
  defaults: { ropeTheta: 1000000, tied: false, eps: 1e-5 },
  window: (config) => config.optionalSize('sliding_window'),
  mlp(config, { hiddenSize }, layer) {
    const prefix = `model.layers.${layer}.block_sparse_moe`;
    const [intermediateSize, kind] = [config.size('intermediate_size'), activationKind(config)];
    return experts({
      router: `${prefix}.gate`,
      hiddenSize,
      count: expertCount(config, 'num_local_experts', 8),
      topK: config.size('num_experts_per_tok', 2),
      normalized: true,
      expert: (index, values, input) =>
        gatedMlp({
          prefix: `${prefix}.experts.${index}`,
          hiddenSize,
          intermediateSize,
          kind,
          input,
          values,
          projections: { gate: 'w1', up: 'w3', down: 'w2' },
        }),
    });
  },
};

/** What Qwen's config classes say where config.json is silent; `shared` is there when the architecture has a shared expert. */
export interface QwenMixtureDefaults {
  readonly experts: number;
  readonly perToken: number;
  readonly intermediateSize: number;
  readonly shared?: number;
}

/** Qwen's MLP: a mixture, with a gated shared expert in Qwen 2; a plain gated one in the layers that `mlp_only_layers` and `decoder_sparse_step` leave out. */
export function qwenMixture(config: ConfigReader, { hiddenSize }: DecoderSizes, layer: number, defaults: QwenMixtureDefaults): Step[] {
  const prefix = `model.layers.${layer}.mlp`;
  const kind = activationKind(config);
  const dense = (config.list('mlp_only_layers') ?? []).includes(layer) || (layer + 1) % config.size('decoder_sparse_step', 1) !== 0;
  if (dense) return gatedMlp({ prefix, hiddenSize, intermediateSize: config.size('intermediate_size'), kind });
  const intermediateSize = config.size('moe_intermediate_size', defaults.intermediateSize);
  const shared = defaults.shared !== undefined;
  const steps = experts({
    router: `${prefix}.gate`,
    hiddenSize,
    count: expertCount(config, config.has('num_experts') ? 'num_experts' : 'num_local_experts', defaults.experts),
    topK: config.size('num_experts_per_tok', defaults.perToken),
    normalized: config.flag('norm_topk_prob', false),
    ...(shared ? { output: 'expertsProjected' } : {}),
    expert: (index, values, input) => gatedMlp({ prefix: `${prefix}.experts.${index}`, hiddenSize, intermediateSize, kind, input, values }),
  });
  if (!shared) return steps;
  return [
    ...steps,
    ...gatedMlp({
      prefix: `${prefix}.shared_expert`,
      hiddenSize,
      intermediateSize: config.size('shared_expert_intermediate_size', defaults.shared),
      kind,
      values: 'shared',
    }),
    linear({ input: 'mlpInput', output: 'sharedShare', name: `${prefix}.shared_expert_gate`, shape: [1, hiddenSize], decides: true }),
    { op: 'gate', input: 'sharedProjected', gate: 'sharedShare', output: 'sharedGated' },
    { op: 'add', a: 'expertsProjected', b: 'sharedGated', output: 'mlpProjected' },
  ];
}

export const mixtralArchitecture: Architecture = architecture(
  'mixtral',
  'MixtralForCausalLM',
  'Mixtral, mixtures of experts',
  'https://arxiv.org/abs/2401.04088',
  (config) => describeLlama(MIXTRAL, config),
);
