import { advise } from '../advice/advise.js';
import type { ReportData } from '../data.js';
import { taskName } from '../html/task-tables.js';
import { percent } from '../plots/draw.js';
import { megabytes, summarize } from '../summary.js';

/**
 * A model card for the Hugging Face Hub (`README.md` with a YAML head): base model, how it was quantized, and what was measured. Fields as in the Hub's
 * documentation of model cards.
 */
export function modelCard(data: ReportData): string {
  const { model, size, quality, recipe, calibration, tasks = [] } = data;
  const head = [
    '---',
    ...(model.base && isHubName(model.base) ? [`base_model: ${model.base}`, 'base_model_relation: quantized'] : []),
    'tags:',
    '- quantized',
    '- calibrant',
    ...(model.architecture ? [`- ${model.architecture}`] : []),
    'quantized_by: calibrant',
    '---',
  ];
  const table = [
    '| | full precision | quantized |',
    '| --- | --- | --- |',
    `| size | ${size.baseBytes === undefined ? '' : megabytes(size.baseBytes)} | ${megabytes(size.bytes)} |`,
    `| bits per weight | ${size.baseBitsPerWeight?.toFixed(2) ?? ''} | ${size.bitsPerWeight.toFixed(2)} |`,
  ];
  if (quality) {
    const { perplexity, basePerplexity, divergence, calibration: confidence } = quality;
    table.push(
      `| perplexity | ${basePerplexity?.value.toFixed(4) ?? ''} | ${perplexity.value.toFixed(4)} ± ${perplexity.standardError.toFixed(4)} |`,
    );
    if (divergence)
      table.push(
        `| mean KL divergence (nats) | 0 | ${divergence.mean.value.toFixed(6)} ± ${divergence.mean.standardError.toFixed(6)} |`,
        `| same most likely token | 100 % | ${percent(divergence.sameTop.value)} |`,
      );
    if (confidence)
      table.push(`| expected calibration error | ${confidence.base?.ece.toFixed(4) ?? ''} | ${confidence.quantized.ece.toFixed(4)} |`);
  }
  for (const task of tasks)
    table.push(
      `| ${cell(taskName(task))} (${cell(task.metric)}) | ${task.base ? percent(task.base.value) : ''} | ${percent(task.value)} (95 %: ${percent(task.low)} – ${percent(task.high)}) |`,
    );
  const measuredOn = quality
    ? [
        `Measured on ${cell(quality.text.name)} (${quality.text.tokens} tokens${quality.text.sha256 ? `, sha256 \`${quality.text.sha256}\`` : ''}) by the protocol \`${quality.protocol}\`; ± one standard error.`,
        '',
      ]
    : [];
  const limits = advise(data).map(({ finding, evidence }) => `- ${finding} (${evidence})`);
  return [
    ...head,
    '',
    `# ${model.name}`,
    '',
    `${model.base ? `Quantized from ${isHubName(model.base) ? `[${model.base}](https://huggingface.co/${model.base})` : model.base}. ` : ''}${summarize(data)}`,
    '',
    ...table,
    '',
    ...measuredOn,
    ...(calibration
      ? [`Calibrated on ${calibration.sequences} sequences (${calibration.tokens} tokens), source: ${calibration.source}.`, '']
      : []),
    ...(limits.length > 0 ? ['## Known limits', '', ...limits, ''] : []),
    ...(recipe === undefined ? [] : ['## Recipe', '', '```json', JSON.stringify(recipe, null, 2), '```', '']),
    `Made with [Calibrant](https://github.com/calibrant/calibrant) (${Object.entries(data.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}), ${data.made.slice(0, 10)}.`,
    '',
  ].join('\n');
}

function isHubName(name: string): boolean {
  return /^[\w.-]+\/[\w.-]+$/.test(name) && !name.startsWith('.');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
