import { type ChoiceItem, choiceItem, indexOf, type TaskRow, textOf, textsOf, wrong } from './choice-item.js';

/** Which accuracy is usually reported of a task. */
export type ChoiceMetric = 'accuracy' | 'accuracyPerCharacter' | 'accuracyPerByte' | 'accuracyPerToken';

/** A public data set as data: where it is, how its rows become items, and what is reported. */
export interface KnownTask {
  readonly name: string;
  readonly title: string;
  readonly metric: ChoiceMetric;
  /** The data set on the Hub. */
  readonly hub: { readonly repo: string; readonly config: string; readonly split: string };
  /** Where solved examples come from: the split, and the key that an example has in common with its question (then the first ones are taken, else they are drawn). */
  readonly examples: { readonly split: string; readonly alike?: string };
  toItem(row: TaskRow, where: string): ChoiceItem;
}

/** Prompts are those that make published figures comparable (those of EleutherAI's lm-evaluation-harness). */
export const KNOWN_TASKS: readonly KnownTask[] = [
  {
    name: 'hellaswag',
    title: 'HellaSwag (Zellers et al. 2019)',
    metric: 'accuracyPerCharacter',
    hub: { repo: 'Rowan/hellaswag', config: 'default', split: 'validation' },
    examples: { split: 'train' },
    toItem(row, where) {
      const endings = textsOf(row['endings'], where, 'endings').map(clean);
      const [start, end] = [textOf(row['ctx_a'], where, 'ctx_a'), typeof row['ctx_b'] === 'string' ? row['ctx_b'] : ''];
      const context = clean(`${textOf(row['activity_label'], where, 'activity_label')}: ${start} ${capitalized(end)}`);
      return choiceItem(context, endings, indexOf(row['label'], endings.length, where, 'label'));
    },
  },
  ...['arc-easy', 'arc-challenge'].map((name): KnownTask => {
    const config = name === 'arc-easy' ? 'ARC-Easy' : 'ARC-Challenge';
    return {
      name,
      title: `${config} (Clark et al. 2018)`,
      metric: 'accuracyPerCharacter',
      hub: { repo: 'allenai/ai2_arc', config, split: 'test' },
      examples: { split: 'train' },
      toItem(row, where) {
        const { text, label } = (row['choices'] ?? {}) as { text?: unknown; label?: unknown };
        const choices = textsOf(text, where, 'choices.text');
        const answer = Array.isArray(label) ? label.indexOf(row['answerKey']) : -1;
        if (answer < 0 || answer >= choices.length) throw wrong(where, `"answerKey" (${row['answerKey']}) is not among "choices.label"`);
        return choiceItem(`Question: ${textOf(row['question'], where, 'question')}\nAnswer:`, choices, answer);
      },
    };
  }),
  {
    name: 'mmlu',
    title: 'MMLU (Hendrycks et al. 2021)',
    metric: 'accuracy',
    hub: { repo: 'cais/mmlu', config: 'all', split: 'test' },
    examples: { split: 'dev', alike: 'subject' },
    toItem(row, where) {
      const choices = textsOf(row['choices'], where, 'choices');
      const letters = choices.map((_, i) => String.fromCharCode(65 + i));
      const subject = typeof row['subject'] === 'string' ? ` about ${row['subject'].replaceAll('_', ' ')}` : '';
      const question = textOf(row['question'], where, 'question').trim();
      const list = choices.map((choice, i) => `${letters[i]}. ${choice}\n`).join('');
      const instruction = `The following are multiple choice questions (with answers)${subject}.\n\n`;
      const answer = indexOf(row['answer'], choices.length, where, 'answer');
      const group = typeof row['subject'] === 'string' ? { group: row['subject'] } : {};
      return { ...choiceItem(`${instruction}${question}\n${list}Answer:`, letters, answer), instruction, ...group };
    },
  },
  {
    name: 'winogrande',
    title: 'WinoGrande (Sakaguchi et al. 2020)',
    metric: 'accuracy',
    hub: { repo: 'allenai/winogrande', config: 'winogrande_xl', split: 'validation' },
    examples: { split: 'train' },
    // The words behind the gap are scored, with either option in it (Trinh & Le 2018).
    toItem(row, where) {
      const sentence = textOf(row['sentence'], where, 'sentence');
      const gap = sentence.indexOf('_');
      if (gap < 0) throw wrong(where, '"sentence" has no gap (_)');
      const continuation = ` ${sentence.slice(gap + 1).trim()}`;
      const options = ['option1', 'option2'].map((key) => ({
        context: sentence.slice(0, gap) + textOf(row[key], where, key),
        continuation,
      }));
      return { options, answer: indexOf(row['answer'], 2, where, 'answer', 1) };
    },
  },
  glue('sst2', ['negative', 'positive'], (row) => `${row('sentence')}\nQuestion: Is this sentence positive or negative?\nAnswer:`),
  glue('cola', ['no', 'yes'], (row) => `${row('sentence')}\nQuestion: Does this sentence make sense?\nAnswer:`),
  glue('rte', ['True', 'False'], (row) => `${row('sentence1')}\nQuestion: ${row('sentence2')} True or False?\nAnswer:`),
  glue('wnli', ['False', 'True'], (row) => `${row('sentence1')}\nQuestion: ${row('sentence2')} True or False?\nAnswer:`),
  glue(
    'mnli',
    ['True', 'Neither', 'False'],
    (row) =>
      `${row('premise')}\nQuestion: ${row('hypothesis')
        .trim()
        .replace(/(?<!\.)$/, '.')} True, False or Neither?\nAnswer:`,
    'validation_matched',
  ),
  glue(
    'qnli',
    ['yes', 'no'],
    (row) => `${row('question')}\n${row('sentence')}\nQuestion: Does this response answer the question?\nAnswer:`,
  ),
  glue(
    'mrpc',
    ['no', 'yes'],
    (row) => `Sentence 1: ${row('sentence1')}\nSentence 2: ${row('sentence2')}\nQuestion: Do both sentences mean the same thing?\nAnswer:`,
  ),
  glue(
    'qqp',
    ['no', 'yes'],
    (row) => `Question 1: ${row('question1')}\nQuestion 2: ${row('question2')}\nQuestion: Do both questions ask the same thing?\nAnswer:`,
  ),
];

/** A classification of GLUE (Wang et al. 2019); `label` indexes the answers. */
function glue(name: string, answers: readonly string[], prompt: (row: (key: string) => string) => string, split = 'validation'): KnownTask {
  return {
    name,
    title: `GLUE ${name} (Wang et al. 2019)`,
    metric: 'accuracy',
    hub: { repo: 'nyu-mll/glue', config: name, split },
    examples: { split: 'train' },
    toItem: (row, where) =>
      choiceItem(
        prompt((key) => textOf(row[key], where, key)),
        answers,
        indexOf(row['label'], answers.length, where, 'label'),
      ),
  };
}

/** HellaSwag's texts from WikiHow carry marks such as `[title]`. */
function clean(text: string): string {
  return text
    .trim()
    .replaceAll(' [title]', '. ')
    .replace(/\[.*?\]/g, '')
    .replaceAll('  ', ' ');
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
}
