import { createRng } from '@calibrant/core';
import type { ChannelMagnitudes, LayerError, ReliabilityFigures, ReportData } from '@calibrant/report';

const ROLES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

/** Invented figures in the form of real ones: every part of a report, with names that try to break out of HTML. */
export function sampleData(): ReportData {
  const rng = createRng(7);
  const layers: LayerError[] = Array.from({ length: 8 * ROLES.length }, (_, i) => {
    const [block, role] = [Math.floor(i / ROLES.length), ROLES[i % ROLES.length]];
    const weightError = 0.002 + 0.004 * rng.uniform() + (role === 'down_proj' && block === 3 ? 0.2 : 0);
    return {
      name: `model.layers.${block}.${role}.weight`,
      block,
      role,
      scheme: 'int4-g128-asym',
      weightError,
      outputError: weightError * 1.5,
    };
  });
  const reliability = (shift: number): ReliabilityFigures => ({
    ece: 0.01 + Math.abs(shift),
    brier: 0.61,
    bins: Array.from({ length: 15 }, (_, i) => ({
      confidence: (i + 0.5) / 15,
      accuracy: Math.min(1, Math.max(0, (i + 0.5) / 15 - shift)),
      count: 1500 - 90 * i,
    })),
  });
  const magnitudes = (outlier: number) => Array.from({ length: 128 }, (_, c) => (c === 17 ? outlier : 0.5 + rng.uniform()));
  const channels: ChannelMagnitudes = {
    name: 'model.layers.0.self_attn.q_proj.weight',
    block: 0,
    before: magnitudes(60),
    after: magnitudes(3),
    channelsPerValue: 1,
  };
  const edges = Array.from({ length: 65 }, (_, i) => -8 + i / 4);
  const klEdges = Array.from({ length: 41 }, (_, i) => 10 ** (-6 + i / 6));
  return {
    schema: 'calibrant-report/v1',
    model: {
      name: 'model <b>&"quoted"</b>',
      base: 'org/model',
      architecture: 'llama',
      parameters: 4_196_608,
      files: [{ name: 'model-00001-of-00001.gguf', bytes: 2_600_000, sha256: 'c0ffee'.repeat(10) }],
    },
    size: { bytes: 2_600_000, bitsPerWeight: 4.96, baseBytes: 8_393_216, baseBitsPerWeight: 16 },
    made: '2026-11-25T10:00:00.000Z',
    versions: { '@calibrant/eval': '0.1.0' },
    recipe: { quantizer: { name: 'rtn', options: {} }, scheme: { name: 'int4-g128-asym', options: {} }, transforms: [] },
    calibration: { source: 'file', sequences: 64, tokens: 32768 },
    quality: {
      text: { name: 'held-out.txt', sha256: 'a'.repeat(64), tokens: 20000 },
      protocol: 'windowed-512',
      perplexity: { value: 26.1, standardError: 0.4 },
      basePerplexity: { value: 24.6, standardError: 0.4 },
      divergence: {
        mean: { value: 0.0712, standardError: 0.002 },
        median: 0.031,
        p99: 0.8,
        max: 4.2,
        sameTop: { value: 0.881, standardError: 0.002 },
        histogram: {
          edges: klEdges,
          counts: klEdges.slice(1).map((edge) => Math.round(2000 * Math.exp(-((Math.log10(edge) + 1.6) ** 2)))),
        },
      },
      calibration: { quantized: reliability(0.04), base: reliability(0.005) },
    },
    tasks: [
      {
        name: 'my-task',
        shots: 5,
        cut: 3,
        metric: 'accuracy',
        value: 0.61,
        low: 0.57,
        high: 0.65,
        items: 500,
        base: { value: 0.64, low: 0.6, high: 0.68 },
      },
    ],
    layers,
    drift: Array.from({ length: 8 }, (_, i) => 0.002 * (i + 1)),
    channels: [channels],
    ranges: [
      {
        name: 'model.layers.0.mlp.down_proj.weight',
        grid: 'float',
        edges,
        counts: edges.slice(1).map((edge) => Math.round(1e5 * Math.exp(-(edge ** 2) / 2)) + (edge > 7 ? 4 : 0)),
        marks: [
          { calibrator: 'minmax', low: -7.9, high: 7.9, clipping: 0, rounding: 0.0031 },
          { calibrator: 'percentile', low: -3.1, high: 3.1, clipping: 0.004, rounding: 0.0005 },
          { calibrator: 'mse', low: -4, high: 4, clipping: 0.0004, rounding: 0.0008 },
        ],
      },
    ],
    longContext: {
      trials: 8,
      chance: 0.0625,
      quantized: longContext(0.75),
      base: longContext(0.875),
    },
    generation: { prompts: 32, maxTokens: 64, medianTokens: 9, identical: [{ tokens: 1, value: 0.9, low: 0.8, high: 0.97 }] },
    runs: [
      { name: 'Q8_0', bytes: 4_500_000, bitsPerWeight: 8.5, meanKl: { value: 0.0004, standardError: 0.00001 } },
      { name: 'int4-g128-asym', bytes: 2_600_000, bitsPerWeight: 4.96, meanKl: { value: 0.0712, standardError: 0.002 }, here: true },
      { name: 'worse', bytes: 3_000_000, bitsPerWeight: 5.5, meanKl: { value: 0.2, standardError: 0.004 } },
    ],
  };
}

function longContext(share: number) {
  const score = { value: share, low: share - 0.1, high: share + 0.1 };
  return { ranked: score, generated: score, cells: [256, 512].map((length) => ({ length, depth: 0.5, ranked: share, generated: share })) };
}
