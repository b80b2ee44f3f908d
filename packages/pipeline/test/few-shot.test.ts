import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { openModelFolder } from '@calibrant/checkpoint';
import { type Backend, toF32 } from '@calibrant/core';
import { evaluateModel } from '@calibrant/pipeline';
import { modelFolder } from '@calibrant/tiny-llama';
import { openTokenizer, openTransformer } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { scratchFolder, testRegistry } from './fixture.js';

const registry = testRegistry();
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;

beforeAll(async () => {
  scratch = await scratchFolder();
  backend = createCpuBackend({ threads: 2 });
});
afterAll(async () => {
  expect(backend.allocatedBytes()).toBe(0);
  await backend.close();
  await scratch.clean();
});

const write = async (name: string, rows: readonly unknown[]) => {
  await writeFile(scratch.path(name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return scratch.path(name);
};
const evaluate = (options: Partial<Parameters<typeof evaluateModel>[0]>) =>
  evaluateModel({ model: modelFolder, registry, backend, ...options });
const question = (subject: string, about: string, answer: number) => ({
  question: `What is ${about}?`,
  subject,
  choices: ['A river', 'A town', 'A year', 'A name'],
  answer,
});
const DEV = ['the Rhine', 'London', '1914', 'Mary'].flatMap((about, i) => [
  question('geography', about, i),
  question('old_times', `${about} now`, 3 - i),
]);
const TEST = [question('geography', 'Paris', 1), question('old_times', 'the Nile', 0), question('geography', '1066', 2)];

describe('few-shot tasks', () => {
  it('score MMLU as a plain second implementation of its convention does', async () => {
    const tasks = [`mmlu=${await write('test.jsonl', TEST)}`];
    const shotsFrom = [await write('dev.jsonl', DEV)];
    const result = await evaluate({ tasks, shots: 3, shotsFrom });
    const [task] = result.tasks!;
    expect(task).toMatchObject({ name: 'mmlu', items: 3, cut: 0, examples: { count: 3, source: shotsFrom[0] } });

    // From the rows alone: the first three of dev with the subject, letters scored behind "Answer:".
    const checkpoint = await openModelFolder(modelFolder);
    const tokenizer = await openTokenizer(checkpoint);
    const model = openTransformer(checkpoint, backend);
    const ask = ({ question: text, choices }: (typeof DEV)[number]) =>
      `${text}\n${choices.map((choice, i) => `${'ABCD'[i]}. ${choice}\n`).join('')}Answer:`;
    const confidences: number[] = [];
    let right = 0;
    for (const asked of TEST) {
      const shots = DEV.filter(({ subject }) => subject === asked.subject).slice(0, 3);
      const head = `The following are multiple choice questions (with answers) about ${asked.subject.replace('_', ' ')}.\n\n`;
      const prompt = head + shots.map((shot) => `${ask(shot)} ${'ABCD'[shot.answer]}\n\n`).join('') + ask(asked);
      const likelihoods: number[] = [];
      for (const letter of 'ABCD') {
        const ids = tokenizer.encode(`${prompt} ${letter}`);
        const from = tokenizer.encode(prompt).length;
        const logits = toF32(await model.logits(ids));
        const width = model.description.vocabSize;
        let sum = 0;
        for (let t = from; t < ids.length; t++) {
          const row = logits.subarray((t - 1) * width, t * width);
          sum += row[ids[t]] - Math.log(row.reduce((total, x) => total + Math.exp(x), 0));
        }
        likelihoods.push(Math.exp(sum));
      }
      const best = Math.max(...likelihoods);
      if (likelihoods.indexOf(best) === asked.answer) right++;
      confidences.push(best / likelihoods.reduce((a, b) => a + b));
    }
    await model.release();
    await checkpoint.close();
    if (task.kind !== 'choice') throw new Error('expected choices');
    expect(task.model.accuracy.value).toBeCloseTo(right / 3, 12);
    expect(task.model.calibration.meanConfidence).toBeCloseTo(confidences.reduce((a, b) => a + b) / 3, 5);
    expect(task.groups!.map(({ name, model: { count } }) => [name, count])).toEqual([
      ['geography', 2],
      ['old_times', 1],
    ]);
    expect(task.groups!.reduce((sum, { model: { value, count } }) => sum + value * count, 0)).toBeCloseTo(right, 12);
    // Without examples the figures are others.
    const [alone] = (await evaluate({ tasks })).tasks!;
    expect(alone.examples).toBeUndefined();
    expect(alone.sha256).not.toBe(task.sha256);
  });

  it("takes a file's own other rows, never the question itself, and the same ones for the same seed", async () => {
    const row = (i: number) => ({ context: `Fact ${i} is`, choices: ['true', 'false'], answer: i % 2 });
    const tasks = [await write('mine.jsonl', [row(1), row(2), row(1), row(3)])];
    const [first] = (await evaluate({ tasks, shots: 2, seed: 3 })).tasks!;
    expect((await evaluate({ tasks, shots: 2, seed: 3 })).tasks![0]).toEqual(first);
    expect((await evaluate({ tasks, shots: 2, seed: 4 })).tasks![0].sha256).not.toBe(first.sha256);
    // Two rows ask the same as the first: two others are left for it.
    await expect(evaluate({ tasks, shots: 3 })).rejects.toThrow(/mine\.jsonl has 2 examples besides the question itself, fewer than the 3/);
    const prompts = [
      await write(
        'sums.jsonl',
        [2, 3, 4].map((n) => ({ prompt: `${n} + ${n} =`, answer: 2 * n, match: 'number' })),
      ),
    ];
    const [sums] = (await evaluate({ tasks: prompts, shots: 2, maxTokens: 3 })).tasks!;
    if (sums.kind !== 'generation') throw new Error('expected written answers');
    expect(sums.samples[0].prompt).toMatch(/^(3 \+ 3 = 6\n\n4 \+ 4 = 8|4 \+ 4 = 8\n\n3 \+ 3 = 6)\n\n2 \+ 2 =$/);
  });

  it('reads the usual split of a public set from the Hub', async () => {
    const parquet = (sentences: string[]) =>
      Buffer.from(
        parquetWriteBuffer({
          columnData: [
            { name: 'sentence', data: sentences },
            { name: 'label', data: sentences.map(() => 1n), type: 'INT64' },
          ],
        }),
      );
    const files: Record<string, Buffer> = { validation: parquet(['a good film']), train: parquet(['fine', 'nice', 'well made']) };
    const server = createServer((request, response) => {
      const bytes = files[/sst2\/(\w+)\/0000\.parquet$/.exec(request.url!)?.[1] ?? ''] ?? Buffer.alloc(0);
      const [, from = 0, to = bytes.length - 1] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')?.map(Number) ?? [];
      const headers = { 'accept-ranges': 'bytes', 'content-length': to - from + 1, 'content-range': `bytes ${from}-${to}/${bytes.length}` };
      response
        .writeHead(request.headers.range ? 206 : 200, headers)
        .end(request.method === 'HEAD' ? undefined : bytes.subarray(from, to + 1));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    process.env['HF_ENDPOINT'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const [task] = (await evaluate({ tasks: ['sst2'], shots: 2 })).tasks!;
      expect(task).toMatchObject({ items: 1, examples: { count: 2, source: expect.stringMatching(/sst2\/train\/0000\.parquet$/) } });
    } finally {
      delete process.env['HF_ENDPOINT'];
      server.close();
    }
  });

  it('asks for what is missing', async () => {
    const tasks = [`mmlu=${await write('test.jsonl', TEST)}`];
    const dev = await write('dev.jsonl', DEV);
    const cases: [Partial<Parameters<typeof evaluateModel>[0]>, RegExp][] = [
      [{ tasks, shots: 2 }, /mmlu is read from .*test\.jsonl; say where its examples are \(the dev split\) by --shots-from mmlu=FILE/],
      [
        { tasks, shots: 5, shotsFrom: [`mmlu=${dev}`] },
        /dev\.jsonl has 4 examples with the subject "geography" besides the question itself, fewer than the 5/,
      ],
      [{ tasks, shots: 2, shotsFrom: [`arc=${dev}`] }, /there is no task "arc", only mmlu/],
      [{ tasks, shotsFrom: [dev] }, /--shots N/],
      [{ needle: {}, shots: 2 }, /give one with --task/],
    ];
    for (const [options, message] of cases) await expect(evaluate(options)).rejects.toThrow(message);
  });
});
