import { type Html, html, visibleText } from './html.js'
import type { ColorName } from './source-colors.js'

/** One value on the axis. */
export interface DotMark {
  readonly value: number
  readonly color: ColorName
  /** Shape: 0 disc, 1 square, 2 triangle, 3 diamond. Another one for each run, for eyes and printers without colour. */
  readonly shape?: number
  /** A ring instead, small and above the line: a single observation behind a mean. */
  readonly isRing?: boolean
  /** Ends of an interval around the value. */
  readonly interval?: readonly [low: number, high: number]
  /** Shown on pointing. */
  readonly title?: string
}

/** Values of one thing. */
export interface DotRow {
  readonly name: string
  readonly marks: readonly DotMark[]
  /** Written at the end of the row. */
  readonly text?: Html
}

/** Values on a common axis, a row for each thing. */
export interface DotChart {
  /** What the axis means. */
  readonly label: string
  readonly rows: readonly DotRow[]
  /** The axis holds zero, and marks have stems from it. */
  readonly fromZero: boolean
  /** Half width of a band around zero, or around `middle`, where values mean nothing. */
  readonly floor?: number
  /** Default 0. */
  readonly middle?: number
  /** Ends of the axis where they are known, such as those of a share; default: round numbers around the values. */
  readonly range?: readonly [low: number, high: number]
}

/** Draws with boxes and percentages instead of a picture of fixed size: letters keep their size on a telephone. */
export function renderDotChart({ label, rows, fromZero, floor, middle = 0, range }: DotChart): Html {
  const values = rows.flatMap(({ marks }) =>
    marks.flatMap(({ value, interval = [] }) => [value, ...interval]),
  )
  const bounds = [
    ...values.filter(Number.isFinite),
    ...(fromZero ? [0] : []),
    ...(floor === undefined ? [] : [middle - floor, middle + floor]),
  ]
  const ticks = range ? niceTicks(range, 0) : niceTicks(bounds, 0.04)
  const [low, high] = [ticks[0]!, ticks.at(-1)!]
  const x = (value: number): string => (100 * ((value - low) / (high - low))).toFixed(2)
  const between = (a: number, b: number): string =>
    `left:${x(Math.min(a, b))}%;width:${(Number(x(Math.max(a, b))) - Number(x(Math.min(a, b)))).toFixed(2)}%`
  const grid = ticks.map(
    (tick) => html`<i class="${fromZero && tick === 0 ? 'zero' : 'grid'}" style="left:${x(tick)}%"></i>`,
  )
  const band =
    floor === undefined
      ? html``
      : html`<i class="floor" style="${between(middle - floor, middle + floor)}"></i>`
  const hasText = rows.some(({ text }) => text !== undefined)
  const lines = rows.map(({ name, marks, text }) => {
    const drawn = marks.flatMap((mark) => (Number.isFinite(mark.value) ? [renderMark(mark)] : []))
    const end = hasText ? html`<span class="end">${text ?? html``}</span>` : html``
    return html`<div class="row${name === '' ? ' more' : ''}"><span class="name" title="${visibleText(name)}">${visibleText(name)}</span><span class="track">${drawn}</span>${end}</div>`
  })
  function renderMark({ value, color, shape = 0, isRing, interval, title = '' }: DotMark): Html {
    if (isRing === true) return html`<b class="ring v-${color}" style="left:${x(value)}%"></b>`
    const [from, to] = interval ?? (fromZero ? [0, value] : [value, value])
    const kind = interval === undefined ? 'stem' : 'interval'
    const line = from === to ? html`` : html`<i class="${kind} v-${color}" style="${between(from, to)}"></i>`
    return html`${line}<b class="mark m${shape % 4} v-${color}" style="left:${x(value)}%" title="${visibleText(title)}"></b>`
  }
  const zero = Math.max(0, ticks.indexOf(0))
  const numbers = ticks.map(
    (tick, i) =>
      html`<span class="${(i - zero) % 2 === 0 ? 'even' : 'odd'}" style="left:${x(tick)}%">${tickText(tick, ticks[1]! - ticks[0]!, fromZero)}</span>`,
  )
  return html`<figure class="dots${hasText ? ' ended' : ''}" role="img" aria-label="${visibleText(label)}"><div class="ground"><span></span><span class="track">${grid}${band}</span></div>
${lines}<div class="axis"><span></span><span class="track">${numbers}</span></div><figcaption>${visibleText(label)}</figcaption></figure>`
}

/** Round numbers that enclose the values with a margin on both sides. */
export function niceTicks(values: readonly number[], margin: number): number[] {
  const low = values.length === 0 ? 0 : values.reduce((a, b) => Math.min(a, b))
  const high = values.length === 0 ? 1 : values.reduce((a, b) => Math.max(a, b))
  const span = high - low || Math.abs(high) * 0.1 || 1
  const from = low - margin * span
  const to = high + margin * span
  const rough = (to - from) / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!
  const ticks: number[] = []
  for (let i = Math.floor(from / step); i <= Math.ceil(to / step); i++) ticks.push(i === 0 ? 0 : i * step)
  return ticks
}

function tickText(tick: number, step: number, isSigned: boolean): string {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9))
  const text = tick.toFixed(decimals).replace('-', '\u2212')
  return isSigned && tick > 0 ? `+${text}` : text
}
