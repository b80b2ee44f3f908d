import type { Evaluation } from '@calibrant/pipeline';
import { renderTable } from '../output/table.js';

type Task = NonNullable<Evaluation['tasks']>[number];
type Group = NonNullable<Extract<Task, { kind: 'choice' }>['groups']>[number];
type Needle = NonNullable<Evaluation['needle']>;
type Drift = NonNullable<Evaluation['drift']>;
interface Share {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** `71.2 % (68.9 to 73.4)`: a share with Wilson's 95 % interval. */
export function share({ value, low, high }: Share): string {
  const [middle, from, to] = [value, low, high].map((part) => (100 * part).toFixed(1));
  return `${middle} % (${from} to ${to})`;
}

export function describeTasks(tasks: readonly Task[]): string {
  const compared = tasks.some(({ base }) => base !== undefined);
  const head = ['task', 'items', 'accuracy', ...(compared ? ['base', 'changed', 'broken / mended', 'p'] : [])];
  const rows = tasks.flatMap((task) => rowsOf(task, compared));
  const tables = renderTable(head, rows);
  const calibrated = tasks.flatMap((task) =>
    task.kind === 'choice' ? [[nameOf(task), ...[task.base, task.model].flatMap((side) => (side ? [eceOf(side)] : []))]] : [],
  );
  const calibration =
    calibrated.length > 0
      ? `\n\nExpected calibration error of the choices\n${renderTable(compared ? ['task', 'base', 'model'] : ['task', 'model'], calibrated)}`
      : '';
  const notes = tasks.flatMap((task) => {
    const cut =
      task.cut > 0
        ? [
            `${task.name}: ${task.cut} context${task.cut === 1 ? ' was' : 's were'} longer than the model sees and lost ${task.cut === 1 ? 'its' : 'their'} beginning.`,
          ]
        : [];
    return task.kind === 'generation' ? cut : [`${task.name}: guessing gives ${(100 * task.model.chance).toFixed(1)} %.`, ...cut];
  });
  const groups = tasks.flatMap((task) => (task.kind === 'choice' && task.groups ? [groupsTable(task, task.groups)] : []));
  return [tables, ...(notes.length > 0 ? [`\n${notes.join(' ')}`] : []), calibration, ...groups].join('');
}

/** The groups that lost most first, where there is a base. */
function groupsTable(task: Task, groups: readonly Group[]): string {
  const change = ({ model, base }: Group) => (base ? model.value - base.value : 0);
  const rows = [...groups]
    .sort((a, b) => change(a) - change(b))
    .map(({ name, model, base }) => [name, String(model.count), share(model), ...(base ? [share(base)] : [])]);
  const head = ['group', 'items', 'accuracy', ...(groups.some(({ base }) => base) ? ['base'] : [])];
  return `\n\n${nameOf(task)} by group\n${renderTable(head, rows)}`;
}

/** `mmlu, 5-shot` */
function nameOf({ name, examples }: Task): string {
  return examples ? `${name}, ${examples.count}-shot` : name;
}

function eceOf({
  calibration: { ece },
}: {
  readonly calibration: { readonly ece: { readonly value: number; readonly standardError: number } };
}): string {
  return `${(100 * ece.value).toFixed(2)} ± ${(100 * ece.standardError).toFixed(2)} %`;
}

/** By bytes is in the JSON: of most texts it is the same as by characters. */
const METRIC_NAMES = {
  accuracy: '',
  accuracyPerCharacter: ' per character',
  accuracyPerByte: ' per byte',
  accuracyPerToken: ' per token',
} as const;

function rowsOf(task: Task, compared: boolean): string[][] {
  const paired = task.comparison;
  const change = compared
    ? [paired ? share(paired.changed) : '', paired ? `${paired.broken} / ${paired.mended}` : '', paired ? paired.pValue.toPrecision(2) : '']
    : [];
  if (task.kind === 'generation')
    return [
      [
        nameOf(task),
        String(task.items),
        share(task.model.accuracy),
        ...(compared ? [task.base ? share(task.base.accuracy) : ''] : []),
        ...change,
      ],
    ];
  const metrics = ['accuracy', 'accuracyPerCharacter', 'accuracyPerToken'] as const;
  return metrics.map((metric) => [
    `${nameOf(task)}${METRIC_NAMES[metric]}`,
    String(task.items),
    share(task.model[metric]),
    ...(compared ? [task.base ? share(task.base[metric]) : ''] : []),
    // The comparison is by the metric that is usually reported.
    ...(metric === task.metric ? change : change.map(() => '')),
  ]);
}

export function describeNeedle({ model, base, chance, trials }: Needle): string {
  const depths = [...new Set(model.cells.map(({ depth }) => depth))];
  const lengths = [...new Set(model.cells.map(({ length }) => length))];
  const grid = (of: typeof model, field: 'ranked' | 'generated') =>
    renderTable(
      ['depth', ...lengths.map((length) => `${length} tokens`)],
      depths.map((depth) => [
        `${100 * depth} %`,
        ...lengths.map((length) => {
          const cell = of.cells.find((each) => each.length === length && each.depth === depth);
          return cell ? `${(100 * cell[field].value).toFixed(0)} %` : '';
        }),
      ]),
    );
  const lines = [
    `Facts found in long texts, ${trials} per cell: the right word ranked first among ${Math.round(1 / chance)} (guessing gives ${(100 * chance).toFixed(1)} %)`,
    grid(model, 'ranked'),
    `in all ${share(model.ranked)}; written greedily ${share(model.generated)}`,
  ];
  if (base) lines.push(`base: ranked first ${share(base.ranked)}; written greedily ${share(base.generated)}`);
  return lines.join('\n');
}

export function describeDrift({ prompts, maxTokens, identical, medianTokens }: Drift): string {
  const table = renderTable(
    ['first tokens', 'identical texts'],
    identical.map((part) => [String(part.tokens), share(part)]),
  );
  return `Greedy texts of model and base, ${prompts} prompts, ${maxTokens} tokens; the median text parts after ${medianTokens} tokens\n${table}`;
}
