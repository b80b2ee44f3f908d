import type { Estimate, ReportData, RunFigures, TaskFigures } from './data.js';
import { escapeHtml } from './html/escape.js';
import { page } from './html/render-html.js';
import { htmlTable } from './html/table.js';
import { taskName } from './html/task-tables.js';
import { percent } from './plots/draw.js';
import { sizeQualityPlot } from './plots/size-quality.js';
import { megabytes } from './summary.js';

/** A report as one run of a comparison. */
export function runOf({ model, size, quality, tasks }: ReportData, name = model.name): RunFigures {
  return {
    name,
    bytes: size.bytes,
    bitsPerWeight: size.bitsPerWeight,
    ...(quality ? { perplexity: quality.perplexity } : {}),
    ...(quality?.divergence ? { meanKl: quality.divergence.mean, sameTop: quality.divergence.sameTop } : {}),
    ...(quality?.calibration ? { ece: quality.calibration.quantized.ece } : {}),
    ...(tasks ? { tasks } : {}),
  };
}

/** What keeps runs from being compared: other base models, texts or protocols. Sentences for a person. */
export function comparisonWarnings(reports: readonly ReportData[]): string[] {
  const measured = reports.filter(({ quality }) => quality);
  const differ = (of: (quality: NonNullable<ReportData['quality']>) => string | undefined) =>
    new Set(measured.map(({ quality }) => of(quality as NonNullable<typeof quality>))).size > 1;
  return [
    ...(measured.length < reports.length
      ? [`${reports.length - measured.length} of ${reports.length} runs have no measured quality.`]
      : []),
    ...(new Set(reports.flatMap(({ model }) => model.base ?? [])).size > 1
      ? ['The runs have different base models: each divergence is from its own.']
      : []),
    ...(differ(({ text }) => text.sha256 ?? text.name)
      ? ['The runs were measured on different texts: their figures cannot be compared.']
      : []),
    ...(!differ(({ text }) => text.sha256 ?? text.name) && differ(({ text }) => String(text.tokens))
      ? ['The runs were measured on different lengths of the text: their figures cannot be compared.']
      : []),
    ...otherItems(reports).map((name) => `The runs were asked other items of ${name}: their scores cannot be compared.`),
    ...(differ(({ protocol }) => protocol) ? ['The runs were measured by different protocols: their figures cannot be compared.'] : []),
  ];
}

/** Tasks that look alike and are not. */
function otherItems(reports: readonly ReportData[]): string[] {
  const hashes = new Map<string, Set<string>>();
  for (const task of reports.flatMap(({ tasks = [] }) => tasks))
    if (task.sha256) hashes.set(taskLabel(task), (hashes.get(taskLabel(task)) ?? new Set()).add(task.sha256));
  return [...hashes].flatMap(([name, different]) => (different.size > 1 ? [name] : []));
}

export const COMPARISON_HEAD = ['run', 'size', 'bits per weight', 'perplexity', 'mean KL divergence', 'same top token'] as const;

/** One row of text per run, smallest first. */
export function comparisonRows(runs: readonly RunFigures[]): string[][] {
  return bySize(runs).map(({ name, bytes, bitsPerWeight, perplexity, meanKl, sameTop }) => [
    name,
    megabytes(bytes),
    bitsPerWeight.toFixed(2),
    estimate(perplexity, 3),
    estimate(meanKl, 5),
    sameTop ? percent(sameTop.value) : '–',
  ]);
}

/** The head and the rows of a table of what only some runs have: calibration error, and tasks by name and examples; undefined where no run has any. */
export function comparedScores(runs: readonly RunFigures[]): { readonly head: string[]; readonly rows: string[][] } | undefined {
  const sorted = bySize(runs);
  const names = [...new Set(sorted.flatMap(({ tasks = [] }) => tasks.map(taskLabel)))];
  const score = ({ tasks = [] }: RunFigures, name: string) => {
    const task = tasks.find((each) => taskLabel(each) === name);
    return task ? `${percent(task.value)} (${percent(task.low)} – ${percent(task.high)})` : '–';
  };
  const rows = [
    ...(sorted.some(({ ece }) => ece !== undefined)
      ? [['expected calibration error', ...sorted.map(({ ece }) => (ece === undefined ? '–' : ece.toFixed(4)))]]
      : []),
    ...names.map((name) => [name, ...sorted.map((run) => score(run, name))]),
  ];
  return rows.length === 0 ? undefined : { head: ['', ...sorted.map(({ name }) => name)], rows };
}

/** Only scores of the same items by the same rule stand in one row. */
function taskLabel(task: TaskFigures): string {
  return `${taskName(task)} (${task.metric}, ${task.items} items)`;
}

function bySize(runs: readonly RunFigures[]): RunFigures[] {
  return [...runs].sort((a, b) => a.bytes - b.bytes);
}

/** Runs side by side as one HTML file: tables, and the plot of size against quality with its Pareto front. */
export function renderComparison(runs: readonly RunFigures[], warnings: readonly string[] = []): string {
  const plot = sizeQualityPlot(runs);
  const scores = comparedScores(runs);
  const notes = warnings.map((warning) => `<p class="muted">${escapeHtml(warning)}</p>`).join('');
  const drawing = plot ? `<figure>${plot.svg}<figcaption>${plot.title}. Lower and further left is better.</figcaption></figure>` : '';
  return page(
    'Quantized models compared',
    `<h1>Runs compared</h1>${notes}${drawing}${htmlTable('± one standard error', COMPARISON_HEAD, comparisonRows(runs))}${scores ? htmlTable('Calibration, and tasks with their 95 % intervals', scores.head, scores.rows, 'scores') : ''}`,
    { schema: 'calibrant-comparison/v1', runs },
  );
}

function estimate(of: Estimate | undefined, digits: number): string {
  return of ? `${of.value.toFixed(digits)} ± ${of.standardError.toFixed(digits)}` : '–';
}
