import { existsSync, readFileSync } from 'node:fs';
import { type DefaultTheme, defineConfig } from 'vitepress';

interface Group {
  readonly title: string;
  readonly packages: readonly { readonly name: string }[];
}

/** Reads the navigation that `generate/main.mjs` wrote. */
function packageGroups(): Group[] {
  const file = new URL('../generated/packages.json', import.meta.url);
  if (!existsSync(file))
    throw new Error('generated/packages.json is missing: run `npm run build -w @calibrant/docs-site`, which generates it.');
  return JSON.parse(readFileSync(file, 'utf8'));
}

const guide: DefaultTheme.SidebarItem[] = [
  {
    text: 'Guide',
    items: [
      { text: 'The five-minute start', link: '/guide/start' },
      { text: 'How it works', link: '/guide/how-it-works' },
      { text: 'Size and quality', link: '/guide/results' },
      { text: 'Methods compared', link: '/guide/methods' },
      { text: 'Outliers', link: '/guide/outliers' },
      { text: 'Calibration sets', link: '/guide/calibration-sets' },
      { text: 'Measure what was lost', link: '/guide/evaluate' },
    ],
  },
  {
    text: 'Reference',
    items: [
      { text: 'Recipe', link: '/reference/recipe' },
      { text: 'Models', link: '/reference/models' },
    ],
  },
];

const packages: DefaultTheme.SidebarItem[] = packageGroups().map(({ title, packages }) => ({
  text: title,
  items: packages.map(({ name }) => ({ text: name, link: `/packages/${name}` })),
}));

export default defineConfig({
  title: 'Calibrant',
  description: 'Quantize large language models from TypeScript, and measure what was lost',
  lang: 'en',
  srcExclude: ['README.md', 'generated/**'],
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: '/icon.svg' }]],
  // The search index is one chunk, which is loaded when somebody searches.
  vite: { build: { chunkSizeWarningLimit: 2000 } },
  themeConfig: {
    logo: '/icon.svg',
    outline: { level: [2, 3] },
    search: { provider: 'local' },
    nav: [
      { text: 'Start', link: '/guide/start' },
      { text: 'How it works', link: '/guide/how-it-works' },
      { text: 'Results', link: '/guide/results' },
      { text: 'Recipe', link: '/reference/recipe' },
      { text: 'Packages', link: '/packages/' },
    ],
    sidebar: {
      '/guide/': guide,
      '/reference/': guide,
      '/packages/': [{ text: 'Packages', link: '/packages/' }, ...packages],
    },
    footer: { message: 'Apache-2.0' },
  },
});
