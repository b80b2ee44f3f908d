import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { renderComparison, renderHtml, runOf } from '@calibrant/report';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Browser, type BrowserContextOptions, chromium } from 'playwright-core';
import { sampleData } from './sample-data.js';

const CHROMIUM = '/usr/bin/chromium';
const installed = existsSync(CHROMIUM);
if (!installed) process.stderr.write('left out: packages/report/test/browser.test.ts: chromium is not installed\n');

(installed ? describe : describe.skip)('the report in a browser', () => {
  let browser: Browser;
  const folder = mkdtempSync(path.join(tmpdir(), 'calibrant-report-'));

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
      ],
    });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Opens a page from disk without a network; `problems` holds every console message, error and request other than the file itself. */
  async function open(html: string, options: BrowserContextOptions = {}) {
    const file = path.join(folder, 'page.html');
    writeFileSync(file, html);
    const context = await browser.newContext({ offline: true, ...options });
    const page = await context.newPage();
    const problems: string[] = [];
    page.on('console', (message) => problems.push(message.text()));
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => {
      if (request.url() !== pathToFileURL(file).href && !request.url().startsWith('data:')) problems.push(request.url());
    });
    await page.goto(pathToFileURL(file).href);
    return { page, problems };
  }

  it.each(['light', 'dark'] as const)('shows every plot in %s mode, without an error or a request', async (colorScheme) => {
    const { page, problems } = await open(renderHtml(sampleData()), { colorScheme, viewport: { width: 1000, height: 900 } });
    const plots = await page.locator('figure svg.plot').all();
    expect(plots).toHaveLength(6);
    for (const plot of plots) {
      const box = (await plot.boundingBox())!;
      expect(box.width).toBeGreaterThan(300);
      expect(box.height).toBeGreaterThan(100);
      expect(await plot.locator('path, rect, circle').count()).toBeGreaterThan(5);
    }
    expect(await page.locator('h1').innerText()).toBe(sampleData().model.name);
    expect(await page.evaluate(() => JSON.parse(document.getElementById('calibrant-report')!.textContent!).schema)).toBe(
      'calibrant-report/v1',
    );
    expect(problems).toEqual([]);
    await page.context().close();
  });

  it.each([1000, 360])('nothing is wider than a window of %d pixels', async (width) => {
    const { page } = await open(renderHtml(sampleData()), { viewport: { width, height: 800 } });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    await page.context().close();
  });

  it('no table is cut off in a window of 1000 pixels, nor on paper', async () => {
    const data = sampleData();
    const tasks = data.tasks!.map((task) => ({ ...task, metric: 'log-likelihood per character', broken: 120, mended: 100, pValue: 0.2 }));
    for (const html of [renderHtml({ ...data, tasks }), renderComparison([runOf({ ...data, tasks }), ...data.runs!])]) {
      const { page } = await open(html, { viewport: { width: 1000, height: 800 } });
      const hidden = () => page.locator('.scroll').evaluateAll((all) => all.map((each) => each.scrollWidth - each.clientWidth));
      expect(Math.max(...(await hidden()))).toBeLessThanOrEqual(0);
      await page.emulateMedia({ media: 'print' });
      await page.setViewportSize({ width: 700, height: 1000 });
      expect(Math.max(...(await hidden()))).toBeLessThanOrEqual(0);
      await page.context().close();
    }
  });

  it('drawings keep letters that can be read in a narrow window', async () => {
    const { page } = await open(renderHtml(sampleData()), { viewport: { width: 360, height: 800 } });
    const sizes = await page
      .locator('svg.plot')
      .evaluateAll((all) => all.map((svg) => (12 * svg.getBoundingClientRect().width) / (svg as SVGSVGElement).viewBox.baseVal.width));
    expect(Math.min(...sizes)).toBeGreaterThan(8);
    await page.context().close();
  });

  it.each([1000, 360])('no row of a table is squeezed into a column of letters in a window of %d pixels', async (width) => {
    const { page } = await open(renderHtml(sampleData()), { viewport: { width, height: 800 } });
    const heights = await page.locator('table:not(.facts) tr').evaluateAll((rows) => rows.map((row) => row.getBoundingClientRect().height));
    // The longest name of a layer takes some lines beside its figures.
    expect(Math.max(...heights)).toBeLessThan(width > 500 ? 90 : 150);
    await page.context().close();
  });

  it('text is readable against its ground in light and dark (contrast at least 4.5)', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page } = await open(renderHtml(sampleData()), { colorScheme });
      const pairs = await page.evaluate(() =>
        ['body', 'figcaption', '.tile span', '.tag', 'details > summary'].map((selector) => {
          const element = document.querySelector(selector)!;
          return [getComputedStyle(element).color, getComputedStyle(element.closest('.tile, .advice li, body')!).backgroundColor];
        }),
      );
      for (const [ink, ground] of pairs) expect(contrast(ink, ground)).toBeGreaterThanOrEqual(4.5);
      await page.context().close();
    }
  });

  it('prints black on white', async () => {
    const { page } = await open(renderHtml(sampleData()), { colorScheme: 'dark' });
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe('rgb(255, 255, 255)');
    expect(await page.evaluate(() => getComputedStyle(document.querySelector('svg.plot')!).color)).toBe('rgb(0, 0, 0)');
    await page.context().close();
  });

  it('the comparison has its plot and its table', async () => {
    const { page, problems } = await open(renderComparison(sampleData().runs!));
    expect(await page.locator('svg.plot').count()).toBe(1);
    expect(await page.locator('tbody tr').count()).toBe(3);
    expect(problems).toEqual([]);
    await page.context().close();
  });
});

/** Contrast of two colours `rgb(r, g, b)`, WCAG 2.2. */
function contrast(a: string, b: string): number {
  const luminance = (color: string) => {
    const [red, green, blue] = color
      .match(/\d+/g)!
      .slice(0, 3)
      .map((value) => Number(value) / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}
