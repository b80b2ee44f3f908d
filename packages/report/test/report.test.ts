import {
  advise,
  comparedScores,
  comparisonWarnings,
  modelCard,
  parseReport,
  type ReportData,
  renderComparison,
  renderHtml,
  runOf,
  summarize,
} from '@calibrant/report';
import { describe, expect, it } from '@jest/globals';
import { sampleData } from './sample-data.js';

const bare: ReportData = {
  schema: 'calibrant-report/v1',
  model: { name: 'm', parameters: 10 },
  size: { bytes: 5, bitsPerWeight: 4 },
  made: '2026-11-25T10:00:00.000Z',
  versions: {},
};

describe('the HTML report', () => {
  it('names in it are text, never elements', () => {
    const html = renderHtml(sampleData());
    expect(html).not.toContain('<b>&"quoted"</b>');
    expect(html).toContain('model &lt;b&gt;&amp;&quot;quoted&quot;&lt;/b&gt;');
    expect(html.slice(html.indexOf('calibrant-report">'))).not.toContain('<b>');
  });

  it('shows commands within sentences as code', () => {
    expect(renderHtml(sampleData())).toContain('<code>calibrant study calibration</code> measures');
  });

  it('asks for nothing outside and runs no script', () => {
    const html = renderHtml(sampleData());
    expect(html).not.toMatch(/(?:src|href)="(?!data:|#)/);
    expect(html.match(/<script[^>]*>/g)).toEqual(['<script type="application/json" id="calibrant-report">']);
  });

  it('carries its own figures as JSON', () => {
    const json = /id="calibrant-report">([\s\S]*?)<\/script>/.exec(renderHtml(sampleData()))![1];
    expect(parseReport(json, 'report.html')).toEqual(JSON.parse(JSON.stringify(sampleData())));
  });

  it('shows the Pareto front that types were chosen on, with the model in its place', () => {
    const target = {
      budgetBytes: 2_700_000,
      bytes: 2_600_000,
      bitsPerWeight: 4.96,
      loss: 0.125,
      bound: 0.1211,
      frontier: [2, 2.5, 3].map((size) => ({ bytes: size * 1e6, bitsPerWeight: 1.9 * size, loss: 4 ** -size })),
    };
    const html = renderHtml({ ...sampleData(), target });
    expect(summarize({ ...sampleData(), target })).toMatch(/^Types chosen by measured loss, rtn: 2\.60 MB/);
    expect(html).toContain('no choice of types of that size can be below 0.1211');
    const sizes = [...html.slice(html.indexOf('(Pareto front)')).matchAll(/<th scope="row">([\d.]+ MB)<\/th>/g)].map(([, size]) => size);
    expect(sizes.slice(0, 4)).toEqual(['2.00 MB', '2.50 MB', '2.60 MB', '3.00 MB']);
    expect(html).toMatch(/2\.60 MB<\/th><td>4\.960<\/td><td>0\.1250<\/td><td>this model/);
  });

  it('says how many examples stood before the items of a task, and how many contexts were cut', () => {
    const html = renderHtml(sampleData());
    expect(html).toContain('<th scope="row">my-task, 5-shot</th>');
    expect(html).toContain('lost their beginning: my-task, 5-shot 3.');
    expect(modelCard(sampleData())).toContain('| my-task, 5-shot (accuracy) |');
  });

  it('shows the groups of a task that lost most first', () => {
    const data = sampleData();
    const [task] = data.tasks!;
    const group = (name: string, value: number) => ({ name, items: 9, value, low: 0, high: 1, base: { value: 0.5, low: 0, high: 1 } });
    const html = renderHtml({ ...data, tasks: [{ ...task, groups: [group('old_times', 0.5), group('art', 0.2), group('law', 0.7)] }] });
    const table = html.slice(html.indexOf('my-task, 5-shot by group'));
    expect([...table.matchAll(/<th scope="row">([^<]+)</g)].slice(0, 3).map(([, name]) => name)).toEqual(['art', 'old times', 'law']);
  });

  it('leaves out what was not measured', () => {
    const html = renderHtml(bare);
    expect(html).not.toContain('<svg');
    expect(html).not.toMatch(/undefined|NaN/);
    expect(html).toContain('Its quality was not measured.');
  });
});

describe('the summary', () => {
  it('is one sentence or two with size, grid, method and loss', () => {
    expect(summarize(sampleData())).toBe(
      'int4-g128-asym by rtn: 2.60 MB (4.96 bits per weight), 3.23 times smaller than org/model. Its predictions differ noticeably from full precision: perplexity 24.60 → 26.10, mean KL divergence 0.0712 nats, the same most likely token at 88.1 % of positions.',
    );
  });
});

describe('advice', () => {
  const findings = (data: ReportData) => advise(data).map(({ finding }) => finding);

  it('names the layer that carries most of the error, and the option that keeps it', () => {
    const found = advise(sampleData()).find(({ finding }) => finding.startsWith('A few layers'))!;
    expect(found.next!.options).toContain('--keep model.layers.3.down_proj.weight');
  });

  it('sends round-to-nearest at 4 bits to calibration, and a calibrated run nowhere', () => {
    expect(findings(sampleData())[0]).toContain('Rounding to nearest at 4 bits');
    const calibrated = { ...sampleData(), recipe: { quantizer: 'gptq', scheme: 'int4-g128-asym' } };
    expect(findings(calibrated).join()).not.toContain('Rounding to nearest');
  });

  it('sees small calibration sets, worse confidence, and heavy tails only where they are', () => {
    expect(findings(sampleData()).join('\n')).toMatch(/calibration set is small[\s\S]*confidence fits[\s\S]*few tokens/);
    expect(findings({ ...sampleData(), calibration: { source: 'file', sequences: 256, tokens: 131072 } }).join()).not.toContain('small');
  });

  it('sees outlier channels that a transform left, not those that it removed', () => {
    const [channel] = sampleData().channels!;
    expect(findings({ ...bare, channels: [{ ...channel, after: channel.before }] }).join()).toContain('far larger than the rest');
    expect(findings({ ...bare, channels: [channel] })).toEqual([]);
  });

  it('sends outlier channels to SmoothQuant only where activations are quantized', () => {
    const [channel] = sampleData().channels!;
    const data = { ...bare, channels: [{ ...channel, after: channel.before }] };
    expect(advise(data)[0].next).toBeUndefined();
    expect(advise({ ...data, execution: { activations: 'int8-token' } })[0].next!.options).toBe('--method smoothquant');
  });

  it('tells clipping from rounding where the model has static ranges, and names what fits', () => {
    const [{ marks, ...range }] = sampleData().ranges!;
    const own = (clipping: number, rounding: number) => ({
      ...bare,
      ranges: [{ ...range, grid: 'int8-tensor-static', marks: [{ ...marks[0], calibrator: 'this model', clipping, rounding }, ...marks] }],
    });
    const [clipped] = advise(own(0.05, 0.001));
    expect(clipped.finding).toMatch(/^Clipping limits/);
    expect(clipped.evidence).toContain('5.0 % of its energy is lost by clipping, 0.10 % by rounding');
    expect(clipped.next).toMatchObject({ options: '--activation-calibrator mse', expectation: expect.stringContaining('loses 0.12 %') });
    // On the measured text no range is good: then more of it would not help.
    const [hopeless] = advise(own(0.0015, 0.0002));
    expect(hopeless.finding).toMatch(/no other range would serve/);
    expect(hopeless.next!.options).toBe("--keep-activations '*down_proj.weight'");
    const [rounded] = advise(own(0.001, 0.05));
    expect(rounded.finding).toMatch(/^Rounding limits/);
    expect(rounded.next!.options).toBe('--method smoothquant --activations int8-token');
    const smoothed = { ...own(0, 0.05), recipe: { transforms: ['smoothquant'], quantizer: 'rtn', scheme: 'int8-channel-sym' } };
    expect(advise(smoothed)[0].next!.options).toBe('--activations int8-token');
    expect(advise(own(0.0001, 0.0002))).toEqual([]);
    expect(advise({ ...bare, ranges: sampleData().ranges! })).toEqual([]);
  });

  it.each([
    [{ scheme: 'int2-g64-asym' }, '--bits 3 --group-size 64'],
    [{ scheme: 'Q3_K_M' }, '--scheme Q4_K_M'],
    [{ scheme: 'int8-channel-sym' }, "--activations none, or --keep-activations '*.down_proj.weight'"],
  ])('a large loss with %j leads to %s', (recipe, options) => {
    const { quality } = sampleData();
    const lost = { ...quality!, divergence: { ...quality!.divergence!, mean: { value: 1.6, standardError: 0.01 } } };
    const data = { ...bare, recipe, quality: lost, execution: { activations: 'int8-tensor-static' } };
    expect(advise(data).find(({ finding }) => finding.startsWith('Much was lost'))!.next!.options).toBe(options);
  });

  it('offers a smaller file when almost nothing was lost', () => {
    const quality = { ...sampleData().quality!, calibration: undefined as never };
    const mean = { value: 0.0005, standardError: 0.00001 };
    const lossless = {
      ...bare,
      size: { bytes: 8, bitsPerWeight: 8.5 },
      quality: { ...quality, divergence: { ...quality.divergence!, mean } },
    };
    expect(findings(lossless).join()).toContain('room for a smaller file');
  });

  it('says nothing without measurements', () => expect(advise(bare)).toEqual([]));
});

describe('the model card', () => {
  const card = modelCard(sampleData());

  it('begins with the fields that the Hub reads', () => {
    expect(card.split('\n').slice(0, 9)).toEqual([
      '---',
      'base_model: org/model',
      'base_model_relation: quantized',
      'tags:',
      '- quantized',
      '- calibrant',
      '- llama',
      'quantized_by: calibrant',
      '---',
    ]);
  });

  it('has the measured figures, the recipe and the known limits', () => {
    expect(card).toContain('| mean KL divergence (nats) | 0 | 0.071200 ± 0.002000 |');
    expect(card).toContain('"name": "int4-g128-asym"');
    expect(card).toContain('## Known limits');
  });

  it('names no base on the Hub that is a folder', () => {
    const local = { ...sampleData(), model: { ...sampleData().model, base: 'my-model' } };
    expect(modelCard(local)).not.toContain('base_model:');
  });
});

describe('comparison', () => {
  it('shows all runs, smallest first', () => {
    const html = renderComparison(sampleData().runs!);
    expect([...html.matchAll(/<th scope="row">([^<]+)/g)].map(([, name]) => name)).toEqual(['int4-g128-asym', 'worse', 'Q8_0']);
  });

  it('warns when texts or protocols differ, or nothing was measured', () => {
    const data = sampleData();
    const other = { ...data, quality: { ...data.quality!, protocol: 'strided', text: { name: 'b', tokens: 1 } } };
    expect(comparisonWarnings([data, data])).toEqual([]);
    const shorter = { ...data, quality: { ...data.quality!, text: { ...data.quality!.text, tokens: 512 } } };
    expect(comparisonWarnings([data, shorter])).toEqual([expect.stringMatching(/different lengths of the text/)]);
    const asked = (sha256: string) => ({ ...data, tasks: data.tasks!.map((task) => ({ ...task, sha256 })) });
    expect(comparisonWarnings([asked('a'), asked('a')])).toEqual([]);
    expect(comparisonWarnings([asked('a'), asked('b')])).toEqual([expect.stringMatching(/other items of my-task, 5-shot/)]);
    const elsewhere = { ...data, model: { ...data.model, base: 'org/other' } };
    expect(comparisonWarnings([data, elsewhere])).toEqual(['The runs have different base models: each divergence is from its own.']);
    expect(comparisonWarnings([data, other, bare]).join(' ')).toMatch(
      /no measured quality[\s\S]*different texts[\s\S]*different protocols/,
    );
  });

  it('puts calibration errors and scores of the same tasks side by side', () => {
    const data = sampleData();
    const [task] = data.tasks!;
    const other = {
      ...data,
      size: { ...data.size, bytes: 1 },
      tasks: [
        { ...task, value: 0.5, low: 0.45, high: 0.55 },
        { ...task, name: 'more' },
      ],
    };
    const { head, rows } = comparedScores([runOf(data, 'large'), runOf(other, 'small'), { name: 'bare', bytes: 1e9, bitsPerWeight: 16 }])!;
    expect(head).toEqual(['', 'small', 'large', 'bare']);
    expect(rows[0]).toEqual(['expected calibration error', '0.0500', '0.0500', '–']);
    expect(rows[1]).toEqual(['my-task, 5-shot (accuracy, 500 items)', '50.0 % (45.0 % – 55.0 %)', '61.0 % (57.0 % – 65.0 %)', '–']);
    expect(rows[2].slice(1)).toEqual(['61.0 % (57.0 % – 65.0 %)', '–', '–']);
    expect(comparedScores(data.runs!)).toBeUndefined();
    expect(renderComparison([runOf(data), runOf(other, 'small')])).toContain('my-task, 5-shot (accuracy, 500 items)');
  });

  it('takes a run from a report', () => {
    expect(runOf(sampleData(), 'here')).toMatchObject({ name: 'here', bytes: 2_600_000, meanKl: { value: 0.0712 } });
  });
});

describe('reading a report', () => {
  it.each(['', '{}', '[]', 'null', '{"schema":"calibrant-report/v2"}'])('refuses %j by the name of the file', (text) => {
    expect(() => parseReport(text, 'some.json')).toThrow(/some\.json/);
  });
});
