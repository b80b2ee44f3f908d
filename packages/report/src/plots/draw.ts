import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

export interface Drawing {
  /** What it shows, in a few words; the caption. */
  readonly title: string;
  /** All that a person who does not see it needs, with the figures that matter. */
  readonly description: string;
  /** One SVG element. */
  readonly svg: string;
}

/** Width of every drawing in units of its view box; pages scale them to the column. */
export const WIDTH = 720;

let count = 0;

/** Draws a plot as an SVG text that says what it shows. Colours are `currentColor` and the page's variables, so that it follows light and dark. */
export function draw({ title, description }: Omit<Drawing, 'svg'>, options: Plot.PlotOptions): Drawing {
  const { document } = parseHTML('<html><body></body></html>');
  const svg = Plot.plot({
    width: WIDTH,
    marginLeft: 60,
    marginRight: 20,
    marginBottom: 40,
    ...options,
    document: document as unknown as Document,
    className: 'plot',
    figure: false,
  } as Plot.PlotOptions) as unknown as SVGSVGElement;
  const id = `drawing-${++count}`;
  svg.querySelector('style')?.remove();
  svg.prepend(labelled(document, 'title', `${id}-title`, title), labelled(document, 'desc', `${id}-desc`, description));
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-labelledby', `${id}-title`);
  svg.setAttribute('aria-describedby', `${id}-desc`);
  svg.removeAttribute('height');
  svg.removeAttribute('width');
  return { title, description, svg: svg.outerHTML };
}

function labelled(document: Document, tag: string, id: string, text: string): Element {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  element.setAttribute('id', id);
  element.textContent = text;
  return element;
}

/** `12.3 %`, `0.45 %` */
export function percent(share: number): string {
  const value = 100 * share;
  if (value > 0 && value < 0.0001) return '< 0.0001 %';
  return `${value >= 10 || value === 0 ? value.toFixed(1) : value.toPrecision(2)} %`;
}
