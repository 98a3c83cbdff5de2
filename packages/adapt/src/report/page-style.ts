/** Colours of sources: far apart also for the common kinds of colour blindness, three to one against the ground. */
const LIGHT = [
  '#36319a',
  '#d97706',
  '#1d9c74',
  '#a5300f',
  '#ab6df0',
  '#1f7571',
  '#8f660d',
  '#6b2a52',
  '#7a35c9',
]
const DARK = [
  '#6fa8d6',
  '#e3b483',
  '#5ee6bd',
  '#e08068',
  '#bac0fc',
  '#14b8be',
  '#e6dd4a',
  '#ee5a92',
  '#b182ff',
]

const NAMES = [...LIGHT.map((_, i) => `s${i}`), 'ink', 'grey']

function palette(colors: readonly string[], ink: string, grey: string): string {
  return `${colors.map((color, i) => `--s${i}: ${color};`).join(' ')} --ink: ${ink}; --grey: ${grey};`
}

/** `v-` for the marks of charts, `k-` for keys in tables. */
const COLOR_RULES = NAMES.map(
  (name) => `.v-${name} { --mark: var(--${name}); } .k-${name} { background: var(--${name}); }`,
).join('\n')

/** The style sheet of every report, for light and dark, paper and telephones. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fafaf9; --panel: #ffffff; --text: #1c2026; --muted: #5d6570; --line: #e3e5e8; --grid: #eef0f2; --link: #2456b8;
  --good: #17704a; --bad: #a93a28; --note: #fdf6e3; --note-line: #e3c77c; ${palette(LIGHT, '#1c2026', '#8a929d')}
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --panel: #1b1f25; --text: #e6e9ed; --muted: #9ba4b0; --line: #2f353d; --grid: #272c34; --link: #8ab4ff;
    --good: #62c795; --bad: #f08a78; --note: #2b2617; --note-line: #6b5b28; ${palette(DARK, '#e6e9ed', '#7d8793')}
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
main, header, footer { max-width: 1240px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 40px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 10px; font-weight: 650; letter-spacing: -0.012em; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 52px 0 14px; padding-top: 16px; border-top: 1px solid var(--line); font-weight: 650; letter-spacing: -0.006em; }
h3 { font-size: 16px; margin: 30px 0 8px; font-weight: 650; overflow-wrap: anywhere; }
h4 { font-size: 14.5px; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
p { max-width: 78ch; margin: 8px 0; }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 18px; font-size: 14px; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
.about, .unit, .none, .from, figcaption { color: var(--muted); }
.about { font-size: 13.5px; }
.unit { font-size: 0.87em; font-weight: 400; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 200px), 1fr)); gap: 14px 28px; margin: 20px 0 4px; padding: 16px 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.facts dt { font-size: 12.5px; line-height: 1.4; }
.facts dd { font-variant-numeric: tabular-nums; }
.facts .unit { display: block; }
.note { border-left: 3px solid var(--line); padding-left: 12px; }
.caution { background: var(--note); border: 1px solid var(--note-line); border-radius: 6px; padding: 10px 14px; margin: 14px 0; max-width: none; }
ul.caution { padding-left: 32px; }
.scroll { overflow: auto; max-height: 680px; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; margin: 12px 0; }
.scroll { width: fit-content; max-width: 100%; }
.samples .scroll { width: auto; max-height: none; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px; text-align: right; vertical-align: baseline; white-space: nowrap; }
th { font-weight: 600; }
thead th { box-shadow: inset 0 -1px var(--line); position: sticky; top: 0; background: var(--panel); z-index: 1; }
tbody th { text-align: left; font-weight: 400; position: sticky; left: 0; background: var(--panel); white-space: normal; overflow-wrap: break-word; min-width: 124px; max-width: 420px; }
tr.group th { color: var(--muted); font-size: 12.5px; padding-top: 14px; font-weight: 600; }
tbody + tbody tr.group th { border-top: 1px solid var(--grid); }
.figures { width: auto; }
.figures tbody tr:not(.group):hover > * { background: var(--grid); }
.diff { color: var(--muted); padding-left: 4px; font-weight: 400; }
.diff.good { color: var(--good); }
.diff.bad { color: var(--bad); }
td.text, th.text { text-align: left; font: inherit; white-space: nowrap; }
sup { line-height: 0; font-size: 0.75em; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 8px; }
${COLOR_RULES}
.spark { padding: 0 2px; }
.spark svg { display: block; stroke: var(--muted); fill: none; stroke-width: 1.5; }
.spark circle { fill: var(--text); stroke: none; }
td.spark { vertical-align: middle; }
.grid, .pair { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); margin: 12px 0; align-items: start; }
.cards { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); align-items: start; }
.cards .scroll { width: auto; margin: 0; }
.cards table { width: 100%; }
.pair.level { align-items: end; }
.chart, figure { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 14px 16px 10px; margin: 0; min-width: 0; }
.chart.wide { grid-column: 1 / -1; }
.chart .about { margin: 1px 0 6px; font-size: 13px; max-width: none; }
.plot { width: 100%; min-height: 260px; }
.wide .plot { min-height: 400px; }
.toolbar { font-size: 14px; margin: 8px 0; display: flex; flex-wrap: wrap; gap: 4px 20px; align-items: baseline; }
.uplot.single .u-legend { position: absolute; top: -8px; right: 0; pointer-events: none; }
.beside { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 16px; align-items: start; margin: 12px 0; }
.beside .scroll, .beside .grid { margin: 0; }
@media (max-width: 1000px) { .beside { grid-template-columns: minmax(0, 1fr); } }
.uplot { position: relative; font-family: inherit; }
.uplot .u-legend { font-size: 12.5px; text-align: left; margin: 2px 0 0; color: var(--text); }
.uplot .u-legend th, .uplot .u-legend td { padding: 1px 4px; text-align: left; background: none; font-weight: 400; position: static; border: 0; max-width: none; white-space: normal; overflow-wrap: anywhere; }
.uplot .u-legend tr { margin-right: 8px; }
.uplot .u-legend tr:first-child .u-marker, .uplot .u-legend tr:first-child th { display: none; }
.uplot .u-legend tr:first-child { float: right; margin: 0; }
.uplot .u-legend td { color: var(--muted); min-width: 2.6em; }
.uplot .u-legend th::after { content: '' !important; }
.uplot .u-legend table, .uplot table { width: auto; }
.uplot .u-select { background: color-mix(in srgb, var(--link) 15%, transparent); }
.uplot .u-cursor-x, .uplot .u-cursor-y { border-color: var(--muted) !important; }
.end-label { position: absolute; display: flex; gap: 8px; height: 17px; line-height: 17px; font-size: 12.5px; white-space: nowrap; pointer-events: auto; }
.end-label.strong { font-weight: 700; }
.end-value { font-variant-numeric: tabular-nums; flex: none; min-width: 2.9em; text-align: right; }
.end-value:empty { display: none; }
.end-name { overflow: hidden; text-overflow: ellipsis; }
.end-place { position: absolute; font-size: 12px; color: var(--muted); white-space: nowrap; }
.keys { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 22px; padding: 0; margin: 10px 0; font-size: 14px; }
.keys li { display: flex; align-items: center; overflow-wrap: anywhere; }
.dots { position: relative; font-size: 12.5px; }
.dots .row, .dots .ground, .dots .axis { display: grid; grid-template-columns: minmax(0, 34%) 1fr; column-gap: 12px; align-items: center; }
.dots.ended .row, .dots.ended .ground, .dots.ended .axis { grid-template-columns: minmax(0, 31%) 1fr minmax(4.6em, max-content); }
.dots.ended .ground::after, .dots.ended .axis::after { content: ''; min-width: 4.6em; }
.dots .row { min-height: 25px; }
.dots .row.more { min-height: 21px; margin-top: -3px; }
.dots { max-width: 860px; }
.dots .name { text-align: right; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.dots .track { position: relative; height: 100%; min-height: 25px; margin: 0 8px; }
.dots .end { text-align: right; color: var(--muted); font-variant-numeric: tabular-nums; white-space: nowrap; }
.dots .ground { position: absolute; inset: 14px 16px 58px; }
.dots i, .dots b { position: absolute; }
.dots .grid, .dots .zero { display: block; top: 0; bottom: 0; width: 1px; margin: 0; background: var(--grid); }
.dots .zero { background: var(--muted); }
.dots .floor { top: 0; bottom: 0; background: var(--muted); opacity: 0.16; }
.dots .axis .track { min-height: 22px; margin-top: 4px; }
.dots .axis span span { position: absolute; transform: translateX(-50%); color: var(--muted); font-variant-numeric: tabular-nums; }
.dots figcaption { text-align: center; padding-top: 4px; }
.stem, .interval { top: 50%; height: 2px; margin-top: -1px; background: var(--mark); }
.stem { opacity: 0.45; }
.mark { top: 50%; width: 9px; height: 9px; margin: -4.5px 0 0 -4.5px; background: var(--mark); border-radius: 50%; }
.mark.still { display: inline-block; flex: none; margin: 0 9px 0 1px; }
.mark.m1 { border-radius: 0; }
.mark.m2 { border-radius: 0; clip-path: polygon(50% 0, 100% 100%, 0 100%); width: 11px; margin-left: -5.5px; }
.mark.m3 { border-radius: 0; transform: rotate(45deg); }
.mark.m2.still { margin: 0 8px 0 0; }
.ring { top: calc(50% - 8px); width: 6px; height: 6px; margin: -3px 0 0 -3px; border: 1.2px solid var(--mark); border-radius: 50%; opacity: 0.75; }
.samples { grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); align-items: start; }
.samples tbody tr:first-child td { border-top: 1px solid var(--grid); }
.samples tbody tr:last-child td { padding-top: 0; }
.samples table { table-layout: fixed; }
.samples th, .samples td { padding: 5px 8px; }
.samples thead th { white-space: normal; position: static; line-height: 1.3; vertical-align: bottom; }
.samples td.what { min-width: 0; }
caption { text-align: left; font-weight: 600; padding: 10px 14px 3px; }
th.what, td.what { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 200px; }
.part { margin: 24px 0 4px; }
.from { font-size: 12.5px; overflow-wrap: anywhere; }
.text { font: 12.5px/1.45 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 8.8em; overflow-y: auto; margin: 2px 0 4px; }
.answers > input { margin: 0 6px 0 0; }
.answers > label { margin-right: 18px; font-size: 14px; }
.answers details { clear: both; }
#answers-right:checked ~ details .wrong, #answers-wrong:checked ~ details .right { display: none; }
.answer { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 8px 20px; align-items: start; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 10px 14px; margin: 10px 0; color: var(--text); }
.answer > div { min-width: 0; }
.answer .text { max-height: 14em; display: flex; flex-direction: column-reverse; }
.answer td { padding: 3px 6px; border-bottom: 1px solid var(--grid); }
.answer tr:last-child td { border-bottom: 0; }
.answer td.what { min-width: 0; width: 100%; white-space: pre-wrap; }
.answer .sign { text-align: left; width: 2.6em; min-width: 2.6em; color: var(--muted); }
.answer .preferred { font-weight: 600; }
.answer .diff { padding: 0; }
details { margin: 10px 0; font-size: 14px; }
summary { cursor: pointer; color: var(--muted); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 8px 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { padding-top: 32px; padding-bottom: 44px; color: var(--muted); font-size: 13px; }
@media (max-width: 640px) {
  main, header, footer { padding-left: 14px; padding-right: 14px; }
  header { padding-top: 24px; }
  h1 { font-size: 23px; }
  .facts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 150px), 1fr)); gap: 12px 16px; }
  .chart, figure { padding: 12px 10px 8px; }
  .dots .ground { inset: 12px 10px 56px; }
  th, td { padding: 5px 8px; }
  table { font-size: 13.5px; }
  .end-label { font-size: 11.5px; gap: 6px; }
  .end-value { min-width: 2.3em; }
  tbody th { max-width: 150px; }
  .diff.share, .dots .axis .odd { display: none; }
  .alerts thead { display: none; }
  .alerts tr { display: grid; grid-template-columns: 1fr auto auto auto; }
  .alerts tbody th { max-width: none; font-weight: 600; }
  .alerts .what { grid-column: 1 / -1; padding-top: 0; }
  caption { padding-left: 8px; }
  .diff { padding-left: 0; }
  .text { max-height: 14em; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print { .scroll { max-height: none; } .chart, figure, .scroll { break-inside: avoid; } nav, .toolbar { display: none; } }
`
