import { readFile } from 'node:fs/promises';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder } from '@calibrant/checkpoint';
import { createReferenceBackend, toF32 } from '@calibrant/core';
import {
  type ChoiceItem,
  choiceFigures,
  choiceItem,
  choiceResult,
  KNOWN_TASKS,
  readChoiceRow,
  scoreChoices,
  wilson,
} from '@calibrant/eval';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';
import { describe, expect, it } from '@jest/globals';
import { tableModel } from './table-model.js';

const letters = { encode: (text: string) => Int32Array.from(text, (letter) => 'abcdef '.indexOf(letter)) };
const source = { name: 'mine', source: 'mine.jsonl', sha256: '', available: 0 };

describe('multiple choice', () => {
  it('equals a plain second implementation on the embedded model', async () => {
    const backend = createCpuBackend({ threads: 2 });
    const checkpoint = await openModelFolder(modelFolder);
    const model = openTransformer(checkpoint, backend);
    const tokenizer = await openTokenizer(checkpoint);
    const sentences = (await readFile(evaluationTextPath, 'utf8')).split(/(?<=\.)\s/).slice(0, 12);
    const items: ChoiceItem[] = [0, 3, 6].map((at) => choiceItem(sentences[at], sentences.slice(at + 1, at + 4), at / 3));
    items.push(choiceItem('The capital of France is', [' Paris', ' a city of many people', ' x'], 0));
    // The letters share one pass.
    items.push(choiceItem('Question: What is it?\nA. this\nB. that\nAnswer:', ['A', 'B'], 1));
    const { scored, cut } = await scoreChoices({ backend, model, tokenizer, items, fallbackToken: 0 });
    expect(cut).toBe(0);
    for (const [i, item] of items.entries())
      for (const [j, { context, continuation }] of item.options.entries()) {
        const ids = tokenizer.encode(context + continuation);
        const start = tokenizer.encode(context).length;
        const logits = toF32(await model.logits(ids));
        const width = model.description.vocabSize;
        let sum = 0;
        let greedy = true;
        for (let t = start; t < ids.length; t++) {
          const row = logits.subarray((t - 1) * width, t * width);
          const top = row.reduce((a, b) => Math.max(a, b));
          sum += row[ids[t]] - top - Math.log(row.reduce((total, x) => total + Math.exp(x - top), 0));
          greedy &&= row.indexOf(top) === ids[t];
        }
        const found = scored[i].options[j];
        expect(Math.abs(found.logLikelihood - sum)).toBeLessThan(1e-3);
        expect(found).toMatchObject({
          greedy,
          tokens: ids.length - start,
          bytes: Buffer.byteLength(continuation.trim()),
          characters: [...continuation.trim()].length,
        });
      }
    await model.release();
    await checkpoint.close();
    expect(backend.allocatedBytes()).toBe(0);
    await backend.close();
  });

  it('ranks by log-likelihood, and by it per character, byte and token', async () => {
    const backend = createReferenceBackend();
    // After "a" come: b 0.6, c 0.3, d 0.1; after anything else everything is equally likely.
    const even = new Array(7).fill(Math.log(1 / 7));
    const table = [[-50, Math.log(0.6), Math.log(0.3), Math.log(0.1), -50, -50, -50], ...new Array(6).fill(even)];
    const model = tableModel(backend, table);
    const items = [choiceItem('a', ['b', 'ceeeeeee', 'd'], 0), choiceItem('a', ['d', 'cf'], 1)].map((item) => ({
      ...item,
      options: item.options.map(({ context, continuation }) => ({ context, continuation: continuation.trim() })),
    }));
    const { scored } = await scoreChoices({ backend, model, tokenizer: letters, items });
    expect(scored[0].options.map(({ logLikelihood }) => logLikelihood)).toEqual([
      expect.closeTo(Math.log(0.6), 5),
      expect.closeTo(Math.log(0.3) - 7 * Math.log(7), 4),
      expect.closeTo(Math.log(0.1), 5),
    ]);
    expect(scored[0].options.map(({ greedy }) => greedy)).toEqual([true, false, false]);
    const figures = choiceFigures(scored);
    // ln 0.1 = −2.30 beats ln 0.3 − ln 7 = −3.15, but per letter it is −1.57.
    expect([figures.accuracy.value, figures.accuracyPerByte.value, figures.accuracyPerToken.value]).toEqual([0.5, 1, 1]);
    expect(figures.accuracyPerCharacter.value).toBe(1);
    expect(figures.accuracy).toMatchObject({ count: 2, ...wilson(1, 2) });
    expect(figures.chance).toBeCloseTo((1 / 3 + 1 / 2) / 2, 12);
    expect(figures.calibration.count).toBe(2);
    expect(backend.allocatedBytes()).toBe(0);
    const base = scored.map((item) => ({ ...item, options: [...item.options].reverse() }));
    const { comparison } = choiceResult(source, 'accuracyPerByte', { scored, cut: 0 }, { scored: base });
    const grouped = (items: typeof scored) => items.map((item, i) => ({ ...item, group: 'yx'[i] }));
    const { groups } = choiceResult(source, 'accuracy', { scored: grouped(scored), cut: 0 }, { scored: grouped(base) });
    expect(groups).toMatchObject([
      { name: 'x', model: { value: 0, count: 1 }, base: { value: 1 } },
      { name: 'y', model: { value: 1, count: 1 }, base: { value: 0 } },
    ]);
    expect(comparison).toMatchObject({ broken: 0, mended: 2, changed: { value: 1 }, difference: { value: 1 }, pValue: 0.5 });
  });

  it('counts characters as the harness does, not bytes or halves of pairs', () => {
    const option = (logLikelihood: number, text: string) => ({
      logLikelihood,
      greedy: false,
      tokens: 1,
      characters: [...text].length,
      bytes: Buffer.byteLength(text),
    });
    // By character −2 against −1.5, by byte −0.5 against −1.5.
    const figures = choiceFigures([{ answer: 0, options: [option(-4, '🙂🙂'), option(-3, 'ab')] }]);
    expect([figures.accuracyPerCharacter.value, figures.accuracyPerByte.value]).toEqual([0, 1]);
  });

  it('cuts the beginning of contexts that are too long, and refuses what cannot be scored', async () => {
    const backend = createReferenceBackend();
    const run = { backend, model: tableModel(backend, new Array(7).fill(new Array(7).fill(0))), tokenizer: letters };
    const items = [choiceItem('aaaaaaaaaa', ['bc', 'd'], 0)];
    const { scored, cut } = await scoreChoices({ ...run, items, maxPositions: 4 });
    expect(cut).toBe(2);
    expect(scored[0].options[0].logLikelihood).toBeCloseTo(3 * Math.log(1 / 7), 5);
    await expect(scoreChoices({ ...run, items, maxPositions: 2 })).rejects.toThrow(
      /item 1 of task: a choice has 3 tokens, and the model sees 2/,
    );
    await expect(scoreChoices({ ...run, items: [] })).rejects.toThrow(/no items/);
    const empty = [{ options: [{ context: '', continuation: 'a' }], answer: 0 }];
    await expect(scoreChoices({ ...run, items: empty })).rejects.toThrow(/context is empty/);
    expect((await scoreChoices({ ...run, items: empty, bosTokenId: 6 })).scored[0].options[0].tokens).toBe(1);
  });
});

describe("a user's rows", () => {
  it('are a context or a question with choices', () => {
    expect(readChoiceRow({ context: 'I am', choices: ['here', ' there'], answer: 1 }, 'row 1')).toEqual({
      options: [
        { context: 'I am', continuation: ' here' },
        { context: 'I am', continuation: ' there' },
      ],
      answer: 1,
    });
    expect(readChoiceRow({ question: 'Why?', choices: ['a', 'b'], answer: 'B' }, 'row 1')).toMatchObject({
      options: [{ context: 'Question: Why?\nAnswer:', continuation: ' a' }, {}],
      answer: 1,
    });
  });

  it('may say of what kind they are', () => {
    expect(readChoiceRow({ question: 'Why?', choices: ['a', 'b'], answer: 0, group: 'causes' }, 'row 1')).toMatchObject({
      group: 'causes',
    });
    expect(() => readChoiceRow({ question: 'Why?', choices: ['a', 'b'], answer: 0, group: 7 }, 'row 1')).toThrow(
      /"group" must be a text, found 7/,
    );
  });

  it.each([
    [{ choices: ['a', 'b'], answer: 0 }, /mine.jsonl:3: it needs either "context" or "question"/],
    [{ context: 'x', question: 'y', choices: ['a', 'b'], answer: 0 }, /either "context" or "question"/],
    [{ context: 'x', answer: 0 }, /"choices" must be a list of at least two texts, found nothing/],
    [{ context: 'x', choices: ['a'], answer: 0 }, /at least two texts, found \["a"\]/],
    [{ context: 'x', choices: ['a', 7], answer: 0 }, /at least two texts/],
    [{ context: 'x', choices: ['a', 'b'] }, /"answer" must be the index of the right choice, found nothing/],
    [{ context: 'x', choices: ['a', 'b'], answer: 2 }, /"answer" is 2, but there are 2 choices \(0 to 1\)/],
    [{ context: 'x', choices: ['a', 'b'], answer: -1 }, /"answer" is -1/],
    [{ context: 'x', choices: ['a', 'b'], answer: 0.5 }, /must be the index/],
  ])('%j is refused with its place', (row, message) => {
    expect(() => readChoiceRow(row, 'mine.jsonl:3')).toThrow(message);
  });
});

describe('public data sets', () => {
  const task = (name: string) => KNOWN_TASKS.find((known) => known.name === name)!;
  it('become items from their usual rows', () => {
    const hellaswag = task('hellaswag').toItem(
      {
        ind: 4,
        activity_label: 'Baking',
        ctx_a: 'A man stands. [title] He',
        ctx_b: 'he',
        ctx: '',
        endings: ['sleeps [step] now.', 'bakes.'],
        label: '1',
      },
      'row',
    );
    expect(hellaswag).toEqual({
      options: [
        { context: 'Baking: A man stands.. He He', continuation: ' sleeps now.' },
        { context: 'Baking: A man stands.. He He', continuation: ' bakes.' },
      ],
      answer: 1,
    });
    const arc = task('arc-easy').toItem(
      { question: 'Which?', choices: { text: ['x', 'y', 'z'], label: ['1', '2', '3'] }, answerKey: '3' },
      'row',
    );
    expect(arc).toMatchObject({ answer: 2, options: [{ context: 'Question: Which?\nAnswer:', continuation: ' x' }, {}, {}] });
    const mmlu = task('mmlu').toItem({ question: 'Q? ', subject: 'high_school_physics', choices: ['w', 'x', 'y', 'z'], answer: 2n }, 'row');
    expect(mmlu.options[2]).toEqual({
      context:
        'The following are multiple choice questions (with answers) about high school physics.\n\nQ?\nA. w\nB. x\nC. y\nD. z\nAnswer:',
      continuation: ' C',
    });
    expect(mmlu.answer).toBe(2);
    const winogrande = task('winogrande').toItem(
      { sentence: 'Ann met Eve and _ waved.', option1: 'Ann', option2: 'Eve', answer: '2' },
      'row',
    );
    expect(winogrande).toEqual({
      options: [
        { context: 'Ann met Eve and Ann', continuation: ' waved.' },
        { context: 'Ann met Eve and Eve', continuation: ' waved.' },
      ],
      answer: 1,
    });
    const rte = task('rte').toItem({ sentence1: 'It rains.', sentence2: 'It is wet.', label: 0, idx: 3 }, 'row');
    expect(rte).toMatchObject({
      answer: 0,
      options: [{ context: 'It rains.\nQuestion: It is wet. True or False?\nAnswer:', continuation: ' True' }, {}],
    });
  });

  it('say which row and key is wrong', () => {
    expect(() => task('winogrande').toItem({ sentence: 'No gap', option1: 'a', option2: 'b', answer: '1' }, 'x:7')).toThrow(
      /x:7: "sentence" has no gap/,
    );
    expect(() => task('hellaswag').toItem({ endings: ['a', 'b'], activity_label: 'x', ctx_a: 'y', label: '' }, 'x:7')).toThrow(
      /"label" must be the index/,
    );
    expect(() => task('sst2').toItem({ sentence: 'good', label: -1 }, 'x:7')).toThrow(/"label" is -1, but there are 2 choices/);
    expect(() => task('arc-easy').toItem({ question: 'q', choices: { text: ['x', 'y'], label: ['A', 'B'] }, answerKey: 'C' }, 'x')).toThrow(
      /"answerKey" \(C\)/,
    );
  });
});
