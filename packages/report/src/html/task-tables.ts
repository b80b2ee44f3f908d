import type { GenerationFigures, LongContextFigures, LongContextSide, ScoreFigures, TaskFigures } from '../data.js';
import { percent } from '../plots/draw.js';
import { escapeHtml } from './escape.js';
import { htmlTable } from './table.js';

/** Scores of both models, and whether the difference is more than chance. */
export function tasksTable(tasks: readonly TaskFigures[]): string {
  const guessing = tasks.flatMap(({ name, chance }) => (chance === undefined ? [] : [`${name} ${percent(chance)}`]));
  const table = htmlTable(
    `Score with its 95 % interval; broken: right before, wrong now; p by McNemar’s test.${guessing.length > 0 ? ` Guessing gives: ${guessing.join(', ')}.` : ''}`,
    ['task', 'by', 'items', 'full precision', 'quantized', 'broken / mended', 'p'],
    tasks.map((task) => [
      taskName(task),
      task.metric,
      String(task.items),
      task.base ? interval(task.base) : '–',
      interval(task),
      task.broken === undefined ? '–' : `${task.broken} / ${task.mended}`,
      task.pValue === undefined ? '–' : task.pValue.toPrecision(2),
    ]),
    'scores',
  );
  const groups = tasks.flatMap((task) => (task.groups ? [groupsTable(task, task.groups)] : []));
  const cut = tasks.flatMap((task) => (task.cut ? [`${taskName(task)} ${task.cut}`] : []));
  const notes =
    cut.length === 0
      ? ''
      : `<p>${escapeHtml(`Contexts that were longer than the model sees and lost their beginning: ${cut.join(', ')}.`)}</p>`;
  return table + notes + groups.join('');
}

/** What lost most comes first. */
function groupsTable(task: TaskFigures, groups: NonNullable<TaskFigures['groups']>): string {
  const change = ({ value, base }: (typeof groups)[number]) => (base ? value - base.value : 0);
  const rows = [...groups]
    .sort((a, b) => change(a) - change(b))
    .map((group) => [group.name.replaceAll('_', ' '), String(group.items), group.base ? interval(group.base) : '–', interval(group)]);
  const caption = `Scores of ${taskName(task)} by group${groups.some(({ base }) => base) ? ', the largest losses first' : ''}`;
  return `<details><summary>${escapeHtml(`${taskName(task)} by group`)}</summary>${htmlTable(caption, ['group', 'items', 'full precision', 'quantized'], rows, 'scores')}</details>`;
}

/** `mmlu, 5-shot` */
export function taskName({ name, shots }: TaskFigures): string {
  return shots === undefined ? name : `${name}, ${shots}-shot`;
}

/** Shares of facts found, by depth and length. */
export function longContextTable({ trials, chance, quantized, base }: LongContextFigures): string {
  const { cells } = quantized;
  const lengths = [...new Set(cells.map(({ length }) => length))];
  const depths = [...new Set(cells.map(({ depth }) => depth))];
  const found = (side: LongContextSide | undefined, length: number, depth: number) => {
    const cell = side?.cells.find((each) => each.length === length && each.depth === depth);
    return cell ? percent(cell.ranked) : '–';
  };
  const rows = depths.map((depth) => [
    percent(depth),
    ...lengths.map((length) =>
      base ? `${found(base, length, depth)} → ${found(quantized, length, depth)}` : found(quantized, length, depth),
    ),
  ]);
  const all = (side: LongContextSide) => `ranked first ${interval(side.ranked)}, written greedily ${interval(side.generated)}`;
  return `${htmlTable(
    `The right word ranked first, by depth and length of the text; ${trials} facts per cell${base ? ', full precision → quantized' : ''}; guessing gives ${percent(chance)}`,
    ['depth', ...lengths.map((length) => `${length} tokens`)],
    rows,
  )}<p>In all: ${base ? `full precision ${all(base)}; quantized ` : ''}${all(quantized)}.</p>`;
}

/** How long greedy texts stay the same. */
export function generationTable({ prompts, maxTokens, medianTokens, identical }: GenerationFigures): string {
  return htmlTable(
    `Greedy texts of both models behind ${prompts} prompts, ${maxTokens} tokens; half of them part within ${medianTokens} tokens`,
    ['first tokens', 'identical texts'],
    identical.map((share) => [String(share.tokens), interval(share)]),
  );
}

function interval({ value, low, high }: ScoreFigures): string {
  return `${percent(value)} (${percent(low)} – ${percent(high)})`;
}
