import { type ChoiceItem, wrong } from './choice-item.js';
import type { GenerationItem } from './generation-task.js';

/** Stands behind each example: what published few-shot figures have there. */
const BLANK_LINE = '\n\n';

/**
 * An item with solved examples before it: behind the instruction, if there is one, each example as its context and its right choice, a blank line behind each.
 *
 * @example
 * withExamples(choiceItem('2 + 2 =', ['4', '5'], 0), [choiceItem('1 + 1 =', ['3', '2'], 1)]).options[0].context; // '1 + 1 = 2\n\n2 + 2 ='
 */
export function withExamples(item: ChoiceItem, examples: readonly ChoiceItem[]): ChoiceItem {
  const { instruction = '' } = item;
  const solved = examples.map((example) => {
    const { context, continuation } = example.options[example.answer];
    return context.slice(example.instruction?.length ?? 0) + continuation + BLANK_LINE;
  });
  const before = instruction + solved.join('');
  return {
    ...item,
    options: item.options.map(({ context, continuation }) => ({ context: before + context.slice(instruction.length), continuation })),
  };
}

/**
 * A prompt with solved examples before it, each with the first of its answers.
 *
 * @throws CalibrantError `INVALID_ARGUMENT` for examples whose answers are patterns
 */
export function promptWithExamples(item: GenerationItem, examples: readonly GenerationItem[], where: string): GenerationItem {
  const solved = examples.map(({ prompt, answers: [answer], match }) => {
    if (match === 'regex') throw wrong(where, 'its examples cannot be shown, for their answers are patterns ("match": "regex")');
    return `${prompt}${/\s$/.test(prompt) ? '' : ' '}${answer}${BLANK_LINE}`;
  });
  return { ...item, prompt: solved.join('') + item.prompt };
}

/** What a model wrote behind examples, without the further questions that it makes up: up to a blank line. */
export function firstParagraph(text: string): string {
  return text.trimStart().split(BLANK_LINE)[0];
}
