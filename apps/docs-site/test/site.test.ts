import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { type StaticServer, serveFolder } from './static-server.js';

const CHROMIUM = '/usr/bin/chromium';
const site = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const built = path.join(site, '.vitepress/dist');
const data = process.env.CALIBRANT_QUICKSTART_JSON ?? path.join(site, 'data/quickstart.json');
const installed = existsSync(CHROMIUM);
if (!installed) process.stderr.write('left out: apps/docs-site/test/site.test.ts: chromium is not installed\n');

interface Result {
  readonly name: string;
  readonly bytes: number;
  readonly sourceBytes: number;
  readonly bitsPerWeight: number;
  readonly sourceBitsPerWeight: number;
  readonly perplexity: number;
  readonly basePerplexity: number;
  readonly meanKl: number;
  readonly klStandardError: number;
  readonly sameTopRate: number;
}

(installed ? describe : describe.skip)('the built site in a browser', () => {
  let server: StaticServer;
  let browser: Browser;
  let problems: string[] = [];
  const pages: Page[] = [];

  beforeAll(async () => {
    if (!existsSync(path.join(built, 'index.html'))) throw new Error('The site is not built: run `npm run build -w @calibrant/docs-site`.');
    server = await serveFolder(built);
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  afterEach(async () => {
    await Promise.all(pages.splice(0).map((page) => page.context().close()));
    const found = problems;
    problems = [];
    expect(found).toEqual([]);
  });

  /** Opens a page and, after each test, fails for every error on its console and every request that failed or left this server. */
  async function open(address: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    pages.push(page);
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') problems.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
    page.on('request', (request) => {
      if (!request.url().startsWith(server.origin) && !request.url().startsWith('data:')) problems.push(`outside: ${request.url()}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`);
    });
    await page.goto(server.origin + address, { waitUntil: 'networkidle' });
    return page;
  }

  it('shows on the start page what Calibrant is, a terminal and the plot', async () => {
    const page = await open('/');
    expect(await page.title()).toBe('Calibrant');
    expect(await page.locator('h1').innerText()).toContain('Calibrant');
    expect(await page.locator('.language-text').innerText()).toContain('npm run quickstart');
    expect(await page.locator('.size-quality svg:visible').count()).toBe(1);
  });

  it('leads from the start page to the five-minute start, and from there to how it works', async () => {
    const page = await open('/');
    await page.getByRole('link', { name: 'The five-minute start' }).click();
    await page.waitForURL('**/guide/start.html');
    await page.getByRole('heading', { level: 1, name: 'The five-minute start' }).waitFor();
    expect(await page.locator('main .language-sh').first().innerText()).toContain('npm run quickstart');
    await page.locator('.VPSidebar').getByRole('link', { name: 'How it works' }).click();
    await page.getByRole('heading', { level: 1, name: 'How it works' }).waitFor();
    await page.locator('.VPNavBar').getByRole('link', { name: 'Packages' }).click();
    await page.getByRole('heading', { level: 1, name: 'Packages' }).waitFor();
  });

  it('has in the table the figures of the quickstart, row by row', async () => {
    const { results } = JSON.parse(readFileSync(data, 'utf8')) as { results: Result[] };
    const page = await open('/guide/results.html');
    const rows = await page
      .locator('.results-table tbody tr')
      .evaluateAll((found) => found.map((row) => [...row.children].map((cell) => cell.textContent)));
    const [{ sourceBytes, sourceBitsPerWeight, basePerplexity }] = results;
    expect(rows[0]).toEqual([
      'full precision',
      megabytes(sourceBytes),
      '100 %',
      sourceBitsPerWeight.toFixed(2),
      basePerplexity.toFixed(3),
      '0',
      '100 %',
    ]);
    expect(rows.slice(1)).toEqual(
      results.map((result) => [
        result.name,
        megabytes(result.bytes),
        `${((100 * result.bytes) / sourceBytes).toFixed(0)} %`,
        result.bitsPerWeight.toFixed(2),
        result.perplexity.toFixed(3),
        `${result.meanKl.toFixed(5)} ± ${result.klStandardError.toFixed(5)}`,
        `${(100 * result.sameTopRate).toFixed(1)} %`,
      ]),
    );
  });

  it('draws a dot for each result, smaller further left and better lower, and says the figures to a screen reader', async () => {
    const { results } = JSON.parse(readFileSync(data, 'utf8')) as { results: Result[] };
    const page = await open('/guide/results.html');
    const plot = page.getByRole('img', { name: /Size of each quantized model/ });
    expect(await plot.count()).toBe(1);
    const description = await plot.locator('desc').textContent();
    for (const { name, bytes, meanKl } of results)
      expect(description).toContain(`${name}: ${(bytes / 1e6).toFixed(2)} MB, mean KL divergence ${meanKl.toFixed(5)}`);
    const dots = await plot
      .locator('circle')
      .evaluateAll((circles) => circles.map((circle) => [Number(circle.getAttribute('cx')), Number(circle.getAttribute('cy'))]));
    expect(dots).toHaveLength(results.length);
    const order = (values: readonly number[]) => values.map((_, i) => i).sort((a, b) => values[a] - values[b] || a - b);
    expect(order(dots.map(([x]) => x))).toEqual(order(results.map(({ bytes }) => bytes)));
    expect(order(dots.map(([, y]) => -y))).toEqual(order(results.map(({ meanKl }) => meanKl)));
    const box = await plot.boundingBox();
    expect(box?.width).toBeGreaterThan(400);
  });

  it('documents the public exports of a package with links that work inside the page and to other packages', async () => {
    const page = await open('/packages/rtn.html');
    await page.locator('#api-rtn').waitFor();
    await page.locator('main a[href*="core.html#api-quantizer"]').first().click();
    await page.waitForURL('**/packages/core.html#api-quantizer');
    await page.locator('#api-quantizer').waitFor();
  });

  it('has a page for each package, which the navigation lists', async () => {
    const folders = readdirSync(path.resolve(site, '../../packages')).concat('cli').sort();
    const page = await open('/packages/');
    const listed = await page.locator('.VPSidebar a').allInnerTexts();
    expect(listed.filter((name) => name !== 'Packages').sort()).toEqual(folders);
    expect(await page.locator('main td a').allInnerTexts()).toHaveLength(folders.length);
  });

  it('lists in the recipe reference every field of a recipe', async () => {
    const { recipeSchema } = await import('@calibrant/core');
    const page = await open('/reference/recipe.html');
    const fields = await page.locator('main table').first().locator('td:first-child').allInnerTexts();
    expect(fields.filter((field) => !field.includes('.'))).toEqual(Object.keys(recipeSchema.shape));
  });

  it('follows the dark theme with readable text in the plot', async () => {
    const colours = async (colorScheme: 'light' | 'dark') => {
      const page = await open('/', { colorScheme });
      return page.evaluate(() => ({
        background: getComputedStyle(document.body).backgroundColor,
        text: getComputedStyle(document.querySelector('.size-quality text') as Element).fill,
        dot: getComputedStyle(document.querySelector('.size-quality circle') as Element).fill,
      }));
    };
    const [light, dark] = [await colours('light'), await colours('dark')];
    for (const { background, text, dot } of [light, dark]) {
      expect(contrast(background, text)).toBeGreaterThan(4.5);
      expect(contrast(background, dot)).toBeGreaterThan(3);
    }
    expect(luminance(light.background)).toBeGreaterThan(luminance(dark.background));
  });

  it.each(['/', '/guide/start.html', '/guide/how-it-works.html', '/guide/results.html', '/reference/recipe.html', '/packages/core.html'])(
    'fits the width of a phone: %s',
    async (address) => {
      const page = await open(address, { viewport: { width: 375, height: 800 }, isMobile: true, hasTouch: true });
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(375);
    },
  );

  it('finds a word by the search that is built in', async () => {
    const page = await open('/guide/start.html');
    await page.keyboard.press('Control+k');
    await page.locator('#localsearch-input').fill('calibration');
    await page.locator('.VPLocalSearchBox .result').first().waitFor();
  });
});

describe('the built site', () => {
  it('includes only generated parts that exist', () => {
    const pages = readdirSync(site, { recursive: true, encoding: 'utf8' }).filter((file) => /^(index|guide.*|reference.*)\.md$/.test(file));
    const included = pages.flatMap((page) =>
      [...readFileSync(path.join(site, page), 'utf8').matchAll(/@include: (\S+?)-->/g)].map(([, file]) =>
        path.join(site, path.dirname(page), file),
      ),
    );
    expect(included.length).toBeGreaterThan(5);
    expect(included.filter((file) => !existsSync(file))).toEqual([]);
  });

  it('has no link to an anchor that its target lacks', () => {
    const html = new Map(
      readdirSync(built, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.html') && file !== '404.html')
        .map((file) => [`/${file.replaceAll(path.sep, '/')}`, readFileSync(path.join(built, file), 'utf8')]),
    );
    expect(html.size).toBeGreaterThan(15);
    const ids = new Map([...html].map(([file, text]) => [file, new Set([...text.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))]));
    const broken = [...html].flatMap(([file, text]) =>
      [...text.matchAll(/<a [^>]*href="([^"]*)#([^"]+)"/g)]
        .map(([, target, anchor]) => ({
          target: target === '' ? file : new URL(target, `http://site${file}`).pathname,
          anchor: decodeURIComponent(anchor),
        }))
        .filter(({ target, anchor }) => ids.get(target.replace(/\/$/, '/index.html'))?.has(anchor) === false)
        .map(({ target, anchor }) => `${file} → ${target}#${anchor}`),
    );
    expect([...new Set(broken)]).toEqual([]);
  });
});

/** Decimal megabytes, as the command line prints them. */
function megabytes(bytes: number): string {
  const value = bytes / 1e6;
  return `${value.toFixed(value < 10 ? 2 : 1)} MB`;
}

/** Relative luminance of `rgb(r, g, b)` (WCAG 2). */
function luminance(colour: string): number {
  const [r, g, b] = (colour.match(/[\d.]+/g) ?? [])
    .map((value) => Number(value) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}
