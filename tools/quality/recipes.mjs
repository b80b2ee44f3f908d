// The runs of the quality table: what varies is named in the first columns, everything else is equal in a group.

const weightOnly = (bits) => `int${bits}-g128-asym`;

/** Ranges of weights: every calibrator at every granularity, rounded to nearest. */
export const CALIBRATORS = {
  title: 'Calibrators for the ranges of weights (4 bits, round to nearest)',
  runs: ['tensor', 'channel', 'g128'].flatMap((unit) =>
    ['minmax', 'percentile', 'mse', 'entropy'].map((calibrator) => ({
      name: `${calibrator}, per ${unit === 'g128' ? 'group of 128' : unit}`,
      recipe: { quantizer: 'rtn', calibrator, scheme: `int4-${unit}-asym` },
    })),
  ),
};

/** Methods for weights alone, at 4, 3 and 2 bits. */
export const METHODS = {
  title: 'Methods for weights (groups of 128, asymmetric; activations in 16 bits or more)',
  runs: [4, 3, 2].flatMap((bits) => [
    { name: `W${bits}A16 RTN`, recipe: { quantizer: 'rtn', scheme: weightOnly(bits) } },
    { name: `W${bits}A16 GPTQ`, recipe: { quantizer: 'gptq', scheme: weightOnly(bits) } },
    { name: `W${bits}A16 AWQ`, recipe: { transforms: ['awq'], quantizer: 'rtn', scheme: weightOnly(bits) } },
    { name: `W${bits}A16 AWQ + GPTQ`, recipe: { transforms: ['awq'], quantizer: 'gptq', scheme: weightOnly(bits) } },
  ]),
};

const w8 = { quantizer: 'rtn', scheme: 'int8-channel-sym' };

/** 8-bit weights and activations, with activations per tensor and per token, and SmoothQuant over its strength. */
export const W8A8 = {
  title: 'W8A8 (weights per channel)',
  runs: [
    { name: 'activations per token', recipe: { ...w8, activations: 'int8-token' } },
    { name: 'activations per tensor, static', recipe: { ...w8, activations: 'int8-tensor-static' } },
    ...[0.25, 0.5, 0.75, 1].map((alpha) => ({
      name: `SmoothQuant α = ${alpha}, activations per tensor, static`,
      recipe: { ...w8, transforms: [{ name: 'smoothquant', options: { alpha } }], activations: 'int8-tensor-static' },
    })),
    {
      name: 'SmoothQuant α searched, activations per tensor, static',
      recipe: { ...w8, transforms: [{ name: 'smoothquant', options: { alpha: 'search' } }], activations: 'int8-tensor-static' },
    },
    { name: 'FP8, activations per token', recipe: { quantizer: 'rtn', scheme: 'fp8-channel', activations: 'fp8-token' } },
  ],
};

/** Static ranges of activations by every calibrator, all else equal. */
export const ACTIVATION_CALIBRATORS = {
  title: 'Calibrators for static ranges of activations (W8A8, weights per channel, activations per tensor)',
  runs: [
    'minmax',
    'moving-average',
    ...[99, 99.9, 99.99, 99.999].map((percentile) => ({ name: 'percentile', options: { percentile } })),
    ...[2, 2.4].map((norm) => ({ name: 'mse', options: { norm } })),
    'entropy',
  ].map((activationCalibrator) => ({
    name: [activationCalibrator.name ?? activationCalibrator, ...Object.values(activationCalibrator.options ?? {})].join(' '),
    recipe: { ...w8, activations: 'int8-tensor-static', activationCalibrator },
  })),
};

const w4 = { scheme: 'int4-channel-sym', activations: 'int4-token' };

export const W4A4 = {
  title: 'W4A4 (weights per channel, activations per token)',
  runs: [
    { name: 'RTN', recipe: { ...w4, quantizer: 'rtn' } },
    { name: 'GPTQ', recipe: { ...w4, quantizer: 'gptq' } },
    { name: 'SmoothQuant + RTN', recipe: { ...w4, quantizer: 'rtn', transforms: ['smoothquant'] } },
    { name: 'SmoothQuant + GPTQ', recipe: { ...w4, quantizer: 'gptq', transforms: ['smoothquant'] } },
  ],
};

export const GROUPS = [CALIBRATORS, ACTIVATION_CALIBRATORS, METHODS, W8A8, W4A4];
