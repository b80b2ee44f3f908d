import type {
  ChoiceFigures,
  DriftFigures,
  Evaluation,
  GroupResult,
  NeedleFigures,
  NeedleResult,
  Proportion,
  TaskResult,
} from '@calibrant/eval';
import type { GenerationFigures, LongContextFigures, ReportData, ScoreFigures, TaskFigures } from '@calibrant/report';

/** The parts of an evaluation beyond a text that a report shows: tasks, facts in long texts, and how long greedy texts stay the same. */
export function taskFigures({ tasks, needle, drift }: Evaluation): Pick<ReportData, 'tasks' | 'longContext' | 'generation'> {
  return {
    ...(tasks ? { tasks: tasks.map(taskOf) } : {}),
    ...(needle ? { longContext: longContextOf(needle) } : {}),
    ...(drift ? { generation: generationOf(drift) } : {}),
  };
}

const METRICS = {
  accuracy: 'log-likelihood',
  accuracyPerCharacter: 'log-likelihood per character',
  accuracyPerByte: 'log-likelihood per byte',
  accuracyPerToken: 'log-likelihood per token',
} as const;

/** A multiple-choice task by the accuracy that is usually reported. */
function taskOf(task: TaskResult): TaskFigures {
  const metric = task.kind === 'choice' ? task.metric : undefined;
  const of = (side: ChoiceFigures | { readonly accuracy: Proportion }): ScoreFigures =>
    score(metric ? (side as ChoiceFigures)[metric] : side.accuracy);
  const { name, items, sha256, examples, model, base, comparison } = task;
  return {
    name,
    metric: metric ? METRICS[metric] : 'written answer',
    items,
    ...(examples ? { shots: examples.count } : {}),
    ...(task.cut > 0 ? { cut: task.cut } : {}),
    ...of(model),
    ...(base ? { base: of(base) } : {}),
    ...(comparison ? { broken: comparison.broken, mended: comparison.mended, pValue: comparison.pValue } : {}),
    ...(task.kind === 'choice' ? { chance: task.model.chance } : {}),
    ...(task.kind === 'choice' && task.groups ? { groups: task.groups.map(groupOf) } : {}),
    sha256,
  };
}

function groupOf({ name, model, base }: GroupResult): NonNullable<TaskFigures['groups']>[number] {
  return { name, items: model.count, ...score(model), ...(base ? { base: score(base) } : {}) };
}

function longContextOf({ trials, chance, model, base }: NeedleResult): LongContextFigures {
  const cells = (figures: NeedleFigures) =>
    figures.cells.map(({ length, depth, ranked, generated }) => ({
      length,
      depth,
      ranked: ranked.value,
      generated: generated.value,
    }));
  const side = (figures: NeedleFigures) => ({ ranked: score(figures.ranked), generated: score(figures.generated), cells: cells(figures) });
  return { trials, chance, quantized: side(model), ...(base ? { base: side(base) } : {}) };
}

function generationOf({ prompts, maxTokens, medianTokens, identical }: DriftFigures): GenerationFigures {
  return { prompts, maxTokens, medianTokens, identical: identical.map(({ tokens, ...share }) => ({ tokens, ...score(share) })) };
}

function score({ value, low, high }: Proportion): ScoreFigures {
  return { value, low, high };
}
