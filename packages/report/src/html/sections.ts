import { advise } from '../advice/advise.js';
import type { ReportData } from '../data.js';
import { channelMagnitudes } from '../plots/channel-magnitudes.js';
import { clippingHistogram } from '../plots/clipping-histogram.js';
import { type Drawing, percent } from '../plots/draw.js';
import { errorHeatMap } from '../plots/error-heat-map.js';
import { klDistribution } from '../plots/kl-distribution.js';
import { reliabilityDiagram } from '../plots/reliability-diagram.js';
import { sizeQualityPlot } from '../plots/size-quality.js';
import { megabytes } from '../summary.js';
import { escapeHtml } from './escape.js';
import { qualityTable } from './quality-tables.js';
import { htmlTable } from './table.js';
import { targetTable } from './target-table.js';
import { generationTable, longContextTable, taskName, tasksTable } from './task-tables.js';

export interface Section {
  readonly heading: string;
  readonly html: string;
}

/** The parts of the page in their order; those without figures are left out. */
export function sections(data: ReportData): Section[] {
  return [
    sizeAndQuality(data),
    target(data),
    advice(data),
    layers(data),
    channels(data),
    ranges(data),
    divergence(data),
    reliability(data),
    tasks(data),
    longContext(data),
    generation(data),
    provenance(data),
  ].filter((section): section is Section => section !== undefined && section.html !== '');
}

function figure(drawing: Drawing | undefined, caption = '', kind = ''): string {
  if (!drawing) return '';
  return `<figure${kind ? ` class="${kind}"` : ''}>${drawing.svg}<figcaption>${escapeHtml(`${drawing.title}. ${caption}`.trim())}</figcaption></figure>`;
}

function sizeAndQuality(data: ReportData): Section {
  const runs = data.runs ?? [];
  const plot = runs.length > 1 ? figure(sizeQualityPlot(runs), 'Lower and further left is better.') : '';
  return { heading: 'Size and quality', html: qualityTable(data) + plot };
}

function target({ target }: ReportData): Section | undefined {
  return target && { heading: 'Size against loss', html: targetTable(target) };
}

function advice(data: ReportData): Section | undefined {
  const items = advise(data);
  if (items.length === 0) return undefined;
  const list = items.map(({ finding, evidence, next }) => {
    const options = next?.options ? ` <code>${escapeHtml(next.options)}</code>` : '';
    const what = next
      ? `<p><b>Next:</b> ${escapeHtml(next.change)}${options}</p><p><span class="tag">expectation, not measured</span> ${withCode(next.expectation)}.</p>`
      : '';
    return `<li><p><b>${escapeHtml(finding)}</b></p><p><span class="tag">measured</span> ${escapeHtml(evidence)}</p>${what}</li>`;
  });
  return { heading: 'What limits this model, and what to try', html: `<ul class="advice">${list.join('')}</ul>` };
}

function layers({ layers = [], drift }: ReportData): Section | undefined {
  if (layers.length === 0) return undefined;
  const worst = [...layers].sort((a, b) => (b.outputError ?? b.weightError) - (a.outputError ?? a.weightError));
  const row = (layer: (typeof layers)[number]) => [
    layer.name,
    layer.scheme,
    percent(layer.weightError),
    layer.outputError === undefined ? '–' : percent(layer.outputError),
  ];
  const head = ['layer', 'grid', 'error of the weights', 'error of the output'];
  const drifted =
    drift && drift.length > 0
      ? `<p>Behind the last block the hidden states are off by ${percent(drift.at(-1) ?? 0)} of their energy.</p>`
      : '';
  return {
    heading: 'Where it was lost',
    html:
      figure(errorHeatMap(layers), 'Each cell is one layer; darker is worse, on a logarithmic scale.') +
      drifted +
      htmlTable('The ten worst layers: share of the energy that became noise', head, worst.slice(0, 10).map(row)) +
      (layers.length > 10
        ? `<details><summary>All ${layers.length} layers</summary>${htmlTable('In the order of the model', head, layers.map(row))}</details>`
        : ''),
  };
}

function channels({ channels = [] }: ReportData): Section | undefined {
  if (channels.length === 0) return undefined;
  return {
    heading: 'Outlier channels',
    html: channels.map((channel) => figure(channelMagnitudes(channel), 'The dashed line is the median of the channels.')).join(''),
  };
}

function ranges({ ranges = [] }: ReportData): Section | undefined {
  if (ranges.length === 0) return undefined;
  const head = ['range', 'from', 'to', 'lost by clipping', 'lost by rounding'];
  const table = ({ name, marks }: (typeof ranges)[number]) =>
    htmlTable(
      `Input of ${name}: share of the energy that becomes noise`,
      head,
      marks.map(({ calibrator, low, high, clipping, rounding }) => [
        calibrator,
        low.toPrecision(3),
        high.toPrecision(3),
        percent(clipping),
        percent(rounding),
      ]),
    );
  const used = ranges.some(({ marks }) => marks[0]?.calibrator === 'this model');
  const how = `The inputs that lose most when one ${ranges[0].grid?.startsWith('int') ? 'integer' : '8-bit integer'} grid holds all their values, and the ranges that calibrators choose for it. ${used ? '“this model” is the range that it was quantized with.' : 'The model itself was not rounded so: this is what static activations would cost.'}`;
  return {
    heading: 'Clipping and rounding of activations',
    html: `<p>${escapeHtml(how)}</p>${ranges.map((range) => figure(clippingHistogram(range)) + table(range)).join('')}`,
  };
}

function divergence({ quality }: ReportData): Section | undefined {
  const drawing = quality?.divergence && klDistribution(quality.divergence);
  return drawing && { heading: 'Divergence, token by token', html: figure(drawing) };
}

function reliability({ quality }: ReportData): Section | undefined {
  const figures = quality?.calibration;
  if (!figures) return undefined;
  const drawing = reliabilityDiagram(figures.quantized, figures.base);
  return (
    drawing && {
      heading: 'Confidence',
      html: figure(drawing, 'On the diagonal a model is as sure as it is right; larger dots are more predictions.', 'narrow'),
    }
  );
}

function tasks({ tasks = [] }: ReportData): Section | undefined {
  return tasks.length === 0 ? undefined : { heading: 'Tasks', html: tasksTable(tasks) };
}

function longContext({ longContext }: ReportData): Section | undefined {
  return longContext && { heading: 'Facts in long texts', html: longContextTable(longContext) };
}

function generation({ generation }: ReportData): Section | undefined {
  return generation && { heading: 'Greedy texts', html: generationTable(generation) };
}

function provenance({ model, execution, recipe, calibration, quality, tasks = [], seed, versions, made }: ReportData): Section {
  const facts = [
    ['base model', `${model.base ?? 'unknown'}${model.baseSha256 ? `, sha256 ${model.baseSha256}` : ''}`],
    ['architecture', model.architecture ?? 'unknown'],
    ['parameters', model.parameters.toLocaleString('en')],
    ...(calibration
      ? [['calibration set', `${calibration.source}: ${calibration.sequences} sequences, ${calibration.tokens} tokens`]]
      : []),
    ...(execution?.activations ? [['activations', execution.activations]] : []),
    ...(execution?.kvCache ? [['keys and values', execution.kvCache]] : []),
    ...(quality
      ? [['measured on', `${quality.text.name}${quality.text.sha256 ? ` (sha256 ${quality.text.sha256})` : ''}, ${quality.protocol}`]]
      : []),
    ...tasks.flatMap((task) => (task.sha256 ? [[taskName(task), `${task.items} items, sha256 ${task.sha256}`]] : [])),
    ...(seed === undefined ? [] : [['seed', String(seed)]]),
    ['measured at', made],
    [
      'software',
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ') || 'unknown',
    ],
    ...(model.files ?? []).map(({ name, bytes, sha256 }) => [name, `${megabytes(bytes)}${sha256 ? `, sha256 ${sha256}` : ''}`]),
  ];
  const json =
    recipe === undefined
      ? ''
      : `<details open><summary>Recipe</summary><pre>${escapeHtml(JSON.stringify(recipe, null, 2))}</pre></details>`;
  return { heading: 'Recipe and provenance', html: htmlTable('How it was made and measured', ['', ''], facts, 'facts') + json };
}

/** Escaped text, with what stands between backticks as code. */
function withCode(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, '<code>$1</code>');
}
