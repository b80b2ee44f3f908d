// Writes everything that VitePress builds the site from and that is not written by hand.
// node generate/main.mjs; CALIBRANT_QUICKSTART_JSON names another file of results.
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { generatePackagePages } from './package-pages.mjs';
import { generateQualityTables } from './quality-tables.mjs';
import { readQuickstartResults } from './quickstart-results.mjs';
import { generateReference } from './reference.mjs';
import { generateResultsPages } from './results-pages.mjs';
import { generateSizePages, generateStudyPages } from './study-pages.mjs';
import { site } from './workspace.mjs';

try {
  const started = Date.now();
  const results = readQuickstartResults(process.env.CALIBRANT_QUICKSTART_JSON ?? path.join(site, 'data/quickstart.json'));
  rmSync(path.join(site, 'generated'), { recursive: true, force: true });
  mkdirSync(path.join(site, 'generated'), { recursive: true });
  const { officialPlugins, ...format } = await import('@calibrant/cli');
  generateResultsPages(results, format);
  generateStudyPages(path.join(site, 'data/calibration-study.json'));
  generateSizePages(path.join(site, 'data/calibration-size.json'));
  generateQualityTables();
  generateReference(await officialPlugins());
  const pages = await generatePackagePages();
  console.log(`${pages} package pages, the reference and the results, in ${((Date.now() - started) / 1000).toFixed(1)} s`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
