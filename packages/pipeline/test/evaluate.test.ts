import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCpuBackend } from '@calibrant/backend-cpu';
import { type Backend, createRegistry, defineMetric } from '@calibrant/core';
import { ggufFormat, ggufSchemes } from '@calibrant/gguf-format';
import { type Evaluation, evaluateModel, quantizeModel } from '@calibrant/pipeline';
import { evaluationTextPath, modelFolder } from '@calibrant/tiny-llama';
import { architectures } from '@calibrant/transformer';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { z } from 'zod';
import { scratchFolder, testRegistry } from './fixture.js';

const registry = testRegistry();
let backend: Backend;
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let quantized: string;
const write = async (name: string, rows: readonly unknown[]) => {
  await writeFile(scratch.path(name), rows.map((row) => JSON.stringify(row)).join('\n'));
  return scratch.path(name);
};
const evaluate = (options: Partial<Parameters<typeof evaluateModel>[0]>): Promise<Evaluation> =>
  evaluateModel({ model: quantized, registry, backend, ...options });
const text = { text: evaluationTextPath, maxWindows: 1, windowSize: 128 };

beforeAll(async () => {
  scratch = await scratchFolder();
  backend = createCpuBackend({ threads: 2 });
  const recipe = { scheme: 'Q4_0', format: 'gguf' };
  quantized = (await quantizeModel({ model: modelFolder, recipe, out: scratch.path('q4'), registry, backend })).files[0];
});
afterAll(async () => {
  expect(backend.allocatedBytes()).toBe(0);
  await backend.close();
  await scratch.clean();
});

describe('evaluateModel', () => {
  it('compares with a base and with its kept logits alike, and says what everything was', async () => {
    const file = scratch.path('base.logits');
    const direct = await evaluate({ ...text, base: modelFolder, saveBaseLogits: file });
    const kept = await evaluate({ ...text, baseLogits: file });
    const checked = await evaluate({ ...text, baseLogits: file, base: modelFolder });
    for (const result of [kept, checked]) {
      expect(result.perplexity).toEqual(direct.perplexity);
      expect(result.calibration).toEqual(direct.calibration);
      expect(result.comparison!.baseFigures).toEqual(direct.comparison!.baseFigures);
      expect(Math.abs(result.comparison!.meanKl / direct.comparison!.meanKl - 1)).toBeLessThan(1e-3);
      expect(result.provenance.base!.sha256).toBe(direct.provenance.base!.sha256);
    }
    const { provenance } = direct;
    expect(provenance.text).toMatchObject({ bytes: 26119, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(provenance.model.files).toEqual([
      { name: expect.stringMatching(/\.gguf$/), bytes: expect.any(Number), sha256: expect.any(String) },
    ]);
    expect(provenance.base!.files.map(({ name }) => name)).toEqual(['model.safetensors', 'config.json', 'tokenizer.json']);
    expect(provenance.versions['@calibrant/eval']).toMatch(/^\d+\.\d+\.\d+/);
    expect(JSON.parse(JSON.stringify(direct))).toEqual(direct);
    await expect(evaluate({ ...text, baseLogits: file, base: quantized })).rejects.toThrow(/holds the logits of .*, whose files differ/);
    await expect(evaluate({ ...text, windowSize: 64, baseLogits: file })).rejects.toThrow(/by the protocol windowed-128, not windowed-64/);
    await expect(evaluate({ ...text, baseLogits: evaluationTextPath })).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
  });

  it('leaves no file when saving fails', async () => {
    const stop = new AbortController();
    const onEvent = () => stop.abort();
    const saving = evaluate({ ...text, saveBaseLogits: scratch.path('none.logits'), onEvent, signal: stop.signal });
    await expect(saving).rejects.toMatchObject({ code: 'ABORTED' });
    await expect(readFile(scratch.path('none.logits'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('takes tasks from JSON lines, JSON and parquet in one schema, a public one or both, draws by the seed, and gives equal figures', async () => {
    const rows = [
      {
        ind: 0,
        activity_label: 'Cooking',
        ctx_a: 'The soup is hot.',
        ctx_b: 'she',
        endings: ['waits a while.', 'of the of of.'],
        label: '0',
      },
      { ind: 1, activity_label: 'Rain', ctx_a: 'It rains.', ctx_b: 'they', endings: ['green to from.', 'go into the house.'], label: '1' },
    ];
    await writeFile(scratch.path('h.json'), JSON.stringify(rows));
    const column = (name: 'activity_label' | 'ctx_a' | 'ctx_b' | 'label') => ({ name, data: rows.map((row) => row[name]) });
    const columnData = [column('activity_label'), column('ctx_a'), column('ctx_b'), column('label')];
    const endings = { name: 'endings', data: rows.map((row) => row.endings), type: 'JSON' as const };
    await writeFile(scratch.path('h.parquet'), new Uint8Array(parquetWriteBuffer({ columnData: [...columnData, endings] })));
    const files = [await write('h.jsonl', rows), scratch.path('h.json'), scratch.path('h.parquet')];
    const mine = await write('mine.jsonl', [
      { question: 'Is snow cold?', choices: ['Yes', 'xqz'], answer: 0 },
      { context: 'The sky is', choices: ['blue', 'carpet', 'seven'], answer: 0 },
      { context: 'One and', choices: ['two', 'sky'], answer: 0 },
    ]);
    const { tasks } = await evaluate({
      base: modelFolder,
      tasks: [...files.map((file) => `hellaswag=${file}`), `own=${mine}`],
      limit: 2,
      seed: 1,
    });
    const [lines, json, parquet, own] = tasks!;
    expect({ ...json, source: '' }).toEqual({ ...lines, source: '' });
    expect({ ...parquet, source: '' }).toEqual({ ...lines, source: '' });
    expect(lines).toMatchObject({ kind: 'choice', name: 'hellaswag', metric: 'accuracyPerCharacter', items: 2, available: 2, cut: 0 });
    expect(lines).toMatchObject({
      model: { accuracy: { value: 1 } },
      base: { accuracy: { value: 1 } },
      comparison: { broken: 0, mended: 0 },
    });
    expect(own).toMatchObject({ kind: 'choice', name: 'own', metric: 'accuracy', items: 2, available: 3 });
  });

  it('reads a public set from the Hub by its name, in ranges', async () => {
    const data = (name: string, values: readonly unknown[]) => ({ name, data: values as string[] });
    const columnData = [data('sentence', ['a good film', 'a bad film']), { ...data('label', [1n, 0n]), type: 'INT64' as const }];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }));
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url!);
      const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
      const part = from === undefined ? bytes : bytes.subarray(Number(from), Number(to) + 1);
      const headers = { 'accept-ranges': 'bytes', 'content-length': part.length, etag: '"1"' };
      const range = from === undefined ? {} : { 'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}` };
      response.writeHead(from === undefined ? 200 : 206, { ...headers, ...range }).end(request.method === 'HEAD' ? undefined : part);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    process.env['HF_ENDPOINT'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const { tasks } = await evaluate({ tasks: ['sst2'] });
      expect(tasks![0]).toMatchObject({ name: 'sst2', items: 2, kind: 'choice' });
      expect(new Set(asked)).toEqual(new Set(['/datasets/nyu-mll/glue/resolve/refs%2Fconvert%2Fparquet/sst2/validation/0000.parquet']));
    } finally {
      delete process.env['HF_ENDPOINT'];
      server.close();
    }
  });

  it('lets both models write answers, and measures how soon they part', async () => {
    const task = await write('written.jsonl', [
      { prompt: 'The history of the', answers: ['.'], match: 'regex' },
      { prompt: 'One', answers: ['no such answer'] },
    ]);
    const { tasks, drift } = await evaluate({
      ...text,
      base: modelFolder,
      metrics: ['drift'],
      drift: { prompts: 3, tokens: 6 },
      tasks: [task],
      maxTokens: 5,
    });
    const [written] = tasks!;
    if (written.kind !== 'generation') throw new Error('expected a generation task');
    expect(written).toMatchObject({
      name: 'written',
      maxTokens: 5,
      cut: 0,
      model: { accuracy: { value: 0.5 } },
      base: { accuracy: { value: 0.5 } },
    });
    expect(written.samples[0]).toMatchObject({ prompt: 'The history of the', right: true, model: expect.stringMatching(/\w/) });
    expect(drift).toMatchObject({ prompts: 3, maxTokens: 6 });
    const alone = await evaluate({ model: modelFolder, ...text, base: modelFolder, metrics: ['drift'], drift: { prompts: 2, tokens: 4 } });
    expect(alone.drift!.firstDifference).toEqual([null, null]);
    expect([alone.perplexity, alone.comparison]).toEqual([undefined, undefined]);
  });

  it('finds facts in longer texts, in a filler of your own too', async () => {
    const { needle } = await evaluate({ needle: { lengths: [96], depths: [1], trials: 3 } });
    expect(needle).toMatchObject({ trials: 3, chance: 1 / 16, model: { cells: [{ length: 96, depth: 1 }] } });
    expect(needle!.model.ranked.value).toBe(1);
    await evaluate({ needle: { lengths: [96], depths: [0.5], trials: 1, text: evaluationTextPath } });
  });

  it('runs metrics of plug-ins beside its own', async () => {
    const longest = defineMetric({
      name: 'longest-window',
      meta: { description: 'tokens of the longest window', package: 'here' },
      options: z.strictObject({}),
      needsReference: false,
      start() {
        let tokens = 0;
        const add = async ({ targets }: { targets: Int32Array }) => {
          tokens = Math.max(tokens, targets.length);
        };
        return { add, finish: () => ({ tokens }) };
      },
    });
    const withMetric = createRegistry([architectures, ggufSchemes(), ggufFormat(), longest]);
    const result = await evaluate({ ...text, registry: withMetric, metrics: ['perplexity', 'longest-window'] });
    expect(result.metrics).toEqual({ 'longest-window': { tokens: 127 } });
    expect([Object.keys(result).includes('perplexity'), Object.keys(result).includes('calibration')]).toEqual([true, false]);
  });

  it('asks what is missing, before it computes', async () => {
    await writeFile(scratch.path('empty.txt'), '');
    const one = (row: unknown) => write('wrong.jsonl', [row]);
    const cases: [Partial<Parameters<typeof evaluateModel>[0]>, RegExp][] = [
      [{}, /nothing to measure on/],
      [{ text: scratch.path('empty.txt') }, /empty\.txt is empty/],
      [{ text: 'none.txt' }, /Cannot read the text none\.txt: ENOENT/],
      [{ metrics: ['perplexity'] }, /perplexity: a text is needed/],
      [{ ...text, metrics: ['divergence'] }, /--base MODEL or --base-logits/],
      [{ ...text, metrics: ['perplexty'] }, /Did you mean "perplexity"/],
      [{ ...text, protocol: 'windowed-64' }, /has its window size in its name/],
      [{ text: evaluationTextPath, protocol: 'strided-2048-512' }, /longer than the 1024 positions/],
      [{ ...text, drift: {} }, /--base MODEL and --text/],
      [{ needle: { lengths: [2000] } }, /1024 positions, fewer than the 2000/],
      [{ tasks: ['helaswag'] }, /Did you mean "hellaswag"/],
      [{ tasks: [scratch.path('empty.txt')] }, /has no rows/],
      [{ tasks: [await one({ context: 'a', choices: ['b', 'c'], answer: 2 })] }, /wrong\.jsonl:1: "answer" is 2, but there are 2 choices/],
      [{ tasks: [evaluationTextPath] }, /is not JSON/],
    ];
    for (const [options, message] of cases) await expect(evaluate(options)).rejects.toThrow(message);
    await writeFile(scratch.path('other.jsonl'), '{"text":"a"}\n[1]\n');
    await expect(evaluate({ tasks: [scratch.path('other.jsonl')] })).rejects.toThrow(/other\.jsonl:2 is not a JSON object/);
    await expect(evaluate({ tasks: [await one({ text: 'a' })] })).rejects.toThrow(/needs "context" or "question".*found text/);
    await writeFile(scratch.path('cut.parquet'), 'PAR1 and nothing else');
    await expect(evaluate({ tasks: [scratch.path('cut.parquet')] })).rejects.toMatchObject({ code: 'CORRUPT_FILE' });
  });
});
