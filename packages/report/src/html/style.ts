/** The page's style: one column, light and dark by the reader's setting, black on white on paper. */
export const STYLE = `
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b2230; --muted: #667085; --line: #d9dee7; --panel: #f5f7fa; --accent: #2563eb; --warm: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --page: #14171d; --ink: #e6e9ef; --muted: #98a2b3; --line: #323844; --panel: #1c2129; --accent: #7aa7ff; --warm: #ff9d66; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 40px 0 8px; padding-top: 12px; border-top: 1px solid var(--line); }
.lead { font-size: 1.08rem; margin: 12px 0 20px; }
.muted, figcaption, caption { color: var(--muted); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; }
.tile b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: .86rem; }
.scroll { overflow-x: auto; }
.scroll + .scroll { margin-top: 20px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .93rem; }
caption { text-align: left; padding: 4px 0 6px; font-size: .9rem; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; font-weight: 500; white-space: normal; overflow-wrap: anywhere; min-width: 10em; }
table.scores td { white-space: normal; }
table.facts th { width: 12em; overflow-wrap: normal; vertical-align: top; }
table.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
thead th { color: var(--muted); font-weight: 600; white-space: normal; vertical-align: bottom; }
caption { max-width: min(820px, calc(100vw - 40px)); }
figure { margin: 16px 0 24px; }
figcaption { font-size: .9rem; margin-top: 4px; }
svg.plot { display: block; width: 100%; height: auto; max-width: 100%; color: var(--ink); background: transparent; overflow: visible; }
svg.plot text { white-space: pre; font-size: 12px; }
figure.narrow svg.plot { max-width: 460px; }
.advice { padding: 0; list-style: none; }
.advice li { background: var(--panel); border: 1px solid var(--line); border-left: 4px solid var(--warm); border-radius: 6px; padding: 10px 14px; margin: 12px 0; }
.advice p { margin: 4px 0; }
.tag { font-size: .74rem; text-transform: uppercase; letter-spacing: .05em; color: var(--muted); border: 1px solid var(--line); border-radius: 4px; padding: 1px 5px; }
pre, code { font: .88em/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
details > summary { cursor: pointer; color: var(--accent); margin: 8px 0; }
@media (max-width: 600px) {
  table { font-size: .84rem; }
  th, td { padding: 5px 6px; white-space: normal; }
  th:first-child { min-width: 7em; }
  figure { overflow-x: auto; }
  figure:not(.narrow) svg.plot { min-width: 620px; }
  figcaption { position: sticky; left: 0; }
}
@media print {
  :root { --page: #ffffff; --ink: #000000; --muted: #444444; --line: #bbbbbb; --panel: #ffffff; --accent: #1d4ed8; --warm: #9a3412; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  table { font-size: .82rem; }
  th, td { padding: 3px 6px; white-space: normal; }
  caption { max-width: none; }
  figure, .advice li, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
`;
