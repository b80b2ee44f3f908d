import {
  type ChoiceItem,
  choiceItem,
  generationResult,
  KNOWN_TASKS,
  promptWithExamples,
  readGenerationRow,
  type TaskRow,
  withExamples,
} from '@calibrant/eval';
import { describe, expect, it } from '@jest/globals';

const item = (task: string, row: TaskRow): ChoiceItem => KNOWN_TASKS.find(({ name }) => name === task)!.toItem(row, 'row');
const contexts = ({ options }: ChoiceItem) => options.map(({ context }) => context);

describe('solved examples', () => {
  it('stand between the instruction of MMLU and the question, as in the published five-shot prompt', () => {
    const row = (question: string, answer: number) => ({ question, subject: 'college_physics', choices: ['1', '2', '3', '4'], answer });
    const asked = withExamples(item('mmlu', row('What?', 1)), [item('mmlu', row(' Why? ', 0)), item('mmlu', row('Who?', 3))]);
    expect(contexts(asked)[2]).toBe(
      'The following are multiple choice questions (with answers) about college physics.\n\n' +
        'Why?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: A\n\n' +
        'Who?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer: D\n\n' +
        'What?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:',
    );
    expect(new Set(contexts(asked)).size).toBe(1);
    expect(asked.options.map(({ continuation }) => continuation)).toEqual([' A', ' B', ' C', ' D']);
    expect(withExamples(asked, [])).toEqual(asked);
  });

  it('are whole sentences where the gap is in the context, and pairs of question and answer elsewhere', () => {
    const row = (answer: string) => ({ sentence: 'Ann met Eve and _ waved.', option1: 'Ann', option2: 'Eve', answer });
    expect(contexts(withExamples(item('winogrande', row('1')), [item('winogrande', row('2'))]))).toEqual([
      'Ann met Eve and Eve waved.\n\nAnn met Eve and Ann',
      'Ann met Eve and Eve waved.\n\nAnn met Eve and Eve',
    ]);
    const rte = (label: number) => item('rte', { sentence1: 'It rains.', sentence2: 'It is wet.', label });
    expect(contexts(withExamples(rte(0), [rte(1)]))[0]).toBe(
      'It rains.\nQuestion: It is wet. True or False?\nAnswer: False\n\nIt rains.\nQuestion: It is wet. True or False?\nAnswer:',
    );
    expect(withExamples(choiceItem('2 + 2 =', ['4', '5'], 0), [choiceItem('1 + 1 =', ['3', '2'], 1)]).options[1]).toEqual({
      context: '1 + 1 = 2\n\n2 + 2 =',
      continuation: ' 5',
    });
  });

  it('stand before prompts, and what a model makes up behind a blank line does not count', () => {
    const row = (prompt: string, answers: unknown[], match?: string) =>
      readGenerationRow({ prompt, answers, ...(match ? { match } : {}) }, 'x');
    const asked = promptWithExamples(row('Q: 2 + 2\nA:', [4], 'number'), [row('Q: 1 + 1\nA:', [2, 2.0], 'number')], 'x');
    expect(asked.prompt).toBe('Q: 1 + 1\nA: 2\n\nQ: 2 + 2\nA:');
    expect(() => promptWithExamples(asked, [row('a', ['b+'], 'regex')], 'x:3')).toThrow(/x:3: .* patterns/);
    const source = { name: 'sums', source: 'x', sha256: '', available: 1 };
    const written = [' 4\n\nQ: 3 + 3\nA: 6'];
    expect(generationResult(source, 8, [asked], written).model.accuracy.value).toBe(0);
    const judged = generationResult({ ...source, examples: { count: 1, source: 'x' } }, 8, [asked], written, written);
    expect([judged.model.accuracy.value, judged.base!.accuracy.value, judged.samples[0].model]).toEqual([1, 1, '4']);
  });
});

describe('prompts', () => {
  it('of GLUE are those of the harness: hypotheses end with a full stop, sentences keep their spaces', () => {
    const mnli = (hypothesis: string) => item('mnli', { premise: 'P.', hypothesis, label: 2 }).options[0].context;
    expect(mnli('It is so ')).toBe('P.\nQuestion: It is so. True, False or Neither?\nAnswer:');
    expect(mnli('It is so.')).toBe('P.\nQuestion: It is so. True, False or Neither?\nAnswer:');
    expect(item('sst2', { sentence: 'a fine film ', label: 1 }).options[1]).toEqual({
      context: 'a fine film \nQuestion: Is this sentence positive or negative?\nAnswer:',
      continuation: ' positive',
    });
  });
});
