/** Eight colours that stay apart for the common kinds of colour blindness, on light and on dark ground. */
const LIGHT = ['#2f66c9', '#c8591c', '#1f8560', '#9a3f98', '#9a7400', '#0b8398', '#c0335a', '#646b75']
const DARK = ['#7ba7ff', '#f29a5f', '#58c596', '#d58fd6', '#dfbb50', '#52c4d6', '#f38099', '#a9b0ba']

function palette(colors: readonly string[]): string {
  return colors.map((color, i) => `--c${i}: ${color};`).join(' ')
}

const SERIES_RULES = LIGHT.map(
  (_, i) => `.c${i} { background: var(--c${i}); } .s${i} { --mark: var(--c${i}); }`,
).join('\n')

/** The whole style sheet of a report. */
export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --panel: #ffffff; --text: #1d2127; --muted: #616975; --line: #e2e4e8; --grid: #eceef1;
  --good: #1a7a4c; --bad: #b3402e; --note: #fdf5e0; --note-line: #e5c978; ${palette(LIGHT)}
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15181c; --panel: #1c2026; --text: #e4e7eb; --muted: #98a1ad; --line: #30363e; --grid: #2a2f37;
    --good: #62c795; --bad: #f08a78; --note: #2d2816; --note-line: #6d5c25; ${palette(DARK)}
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
main, header, footer { max-width: 1240px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 36px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 8px; font-weight: 650; }
h2 { font-size: 19px; margin: 44px 0 12px; padding-top: 14px; border-top: 1px solid var(--line); font-weight: 650; }
h3 { font-size: 16px; margin: 28px 0 6px; font-weight: 650; }
h4 { font-size: 14px; margin: 0; font-weight: 600; }
p { max-width: 78ch; margin: 6px 0; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 14px; font-size: 14px; }
a { color: var(--c0); text-decoration: none; }
a:hover { text-decoration: underline; }
.about, .unit, .none, .from, figcaption { color: var(--muted); }
.about { font-size: 13.5px; }
.unit { font-size: 0.87em; font-weight: 400; }
.caution { background: var(--note); border: 1px solid var(--note-line); border-radius: 6px; padding: 10px 14px; margin: 14px 0; max-width: none; }
.scroll { overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; margin: 12px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px; text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; }
thead th { border-bottom: 1px solid var(--line); }
tbody th { text-align: left; font-weight: 400; position: sticky; left: 0; background: var(--panel); }
tr.group th { color: var(--muted); font-size: 12.5px; padding-top: 13px; font-weight: 600; }
tbody + tbody tr.group th { border-top: 1px solid var(--grid); }
.figures { width: auto; min-width: 60%; }
.figures tbody tr:not(.group):hover > * { background: var(--grid); }
.diff { color: var(--muted); padding-left: 4px; font-weight: 400; }
.diff.good { color: var(--good); }
.diff.bad { color: var(--bad); }
sup { line-height: 0; font-size: 0.75em; }
.key { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 7px; }
${SERIES_RULES}
.grid, .pair { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); margin: 12px 0; }
.grid.many { grid-template-columns: repeat(auto-fill, minmax(min(100%, 300px), 1fr)); }
.chart, figure { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 12px 14px 8px; margin: 0; min-width: 0; }
.chart .about { min-height: 1.5em; margin: 0 0 6px; font-size: 13px; }
.plot { width: 100%; min-height: 260px; }
.toolbar { font-size: 14px; margin: 8px 0; display: flex; flex-wrap: wrap; gap: 4px 20px; }
.uplot .u-legend { font-size: 12.5px; text-align: left; margin: 0; color: var(--text); }
.uplot .u-legend th, .uplot .u-legend td { padding: 1px 4px; text-align: left; background: none; font-weight: 400; position: static; border: 0; }
.uplot .u-legend tr { margin-right: 8px; }
.uplot .u-legend tr:first-child .u-marker { display: none; }
.uplot .u-legend td { color: var(--muted); min-width: 2.6em; }
.uplot .u-legend th::after { content: '' !important; }
.uplot .u-legend table, .uplot table { width: auto; }
.uplot .u-select { background: color-mix(in srgb, var(--c0) 15%, transparent); }
.uplot .u-cursor-x, .uplot .u-cursor-y { border-color: var(--muted) !important; }
.keys { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0; margin: 8px 0; font-size: 14px; }
.keys li { display: flex; align-items: center; gap: 6px; }
.dot { width: 14px; height: 14px; }
.samples { grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); }
figure { overflow-x: auto; }
.dots { width: 100%; min-width: 460px; height: auto; display: block; font-size: 12px; }
.dots text { fill: var(--text); }
.dots .tick, .dots .axis { fill: var(--muted); text-anchor: middle; }
.dots .value { fill: var(--muted); font-size: 11px; font-variant-numeric: tabular-nums; }
.dots .set { text-anchor: end; }
.dots .grid { stroke: var(--grid); }
.dots .zero { stroke: var(--muted); }
.dots .rule { stroke: var(--line); stroke-dasharray: 1 3; }
.stem { stroke: var(--mark); stroke-width: 2; opacity: 0.5; }
.mark { fill: var(--mark); }
.samples { align-items: start; }
.samples tbody tr:first-child td { border-top: 1px solid var(--grid); }
.samples tbody tr:last-child td { padding-top: 0; }
.samples th, .samples td { padding: 5px 8px; }
caption { text-align: left; font-weight: 600; padding: 9px 10px 3px; }
th.what, td.what { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.part { margin: 22px 0 6px; }
.from { font-size: 12.5px; overflow-wrap: anywhere; }
.text { font: 12.5px/1.45 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 8.8em; overflow-y: auto; margin: 2px 0 4px; }
details { margin: 8px 0; font-size: 14px; }
summary { cursor: pointer; color: var(--muted); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 8px 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { padding-top: 24px; padding-bottom: 40px; color: var(--muted); font-size: 13px; }
@media (max-width: 640px) { th, td { padding: 5px 8px; } tbody th { white-space: normal; } .text { max-height: 14em; } }
@media print { .chart, figure, .scroll { break-inside: avoid; } nav, .toolbar { display: none; } }
`
