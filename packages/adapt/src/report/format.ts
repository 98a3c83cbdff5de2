import { type Html, html } from './html.js'

export type NumberFormat = 'bits' | 'ratio' | 'percent' | 'count' | 'flops' | 'duration' | 'plain'

const MINUS = '\u2212'
const NARROW_SPACE = '\u202f'

/** A figure for a table cell. Non-finite values are named, not hidden. */
export function formatNumber(value: number, format: NumberFormat): Html {
  if (!Number.isFinite(value)) return html`${String(value).replace('-', MINUS)}`
  if (value < 0) return html`${MINUS}${formatNumber(-value, format)}`
  switch (format) {
    case 'bits':
      return html`${value.toFixed(4)}`
    case 'ratio':
      return html`${value.toFixed(3)}`
    case 'percent':
      return html`${(100 * value).toFixed(value < 0.1 ? 2 : 1)}${NARROW_SPACE}%`
    case 'count':
      return html`${groupThousands(Math.round(value))}`
    case 'flops':
      return value < 1e6 ? html`${groupThousands(Math.round(value))}` : powerOfTen(value)
    case 'duration':
      return html`${formatDuration(value)}`
    case 'plain':
      return formatPlain(value)
  }
}

/** With a sign, for differences. */
export function formatDifference(value: number, format: NumberFormat): Html {
  const shown = formatNumber(Math.abs(value), format)
  if (!Number.isFinite(value)) return formatNumber(value, format)
  // What rounds to zero has no sign.
  if (!/[1-9]/.test(shown.markup)) return shown
  return html`${value > 0 ? '+' : MINUS}${shown}`
}

/** Seconds as people say them: 0.42 s, 7.5 s, 3 min 12 s, 2 h 05 min. */
export function formatDuration(seconds: number): string {
  if (seconds < 1) return `${seconds.toFixed(2)} s`
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

function formatPlain(value: number): Html {
  if (Number.isInteger(value) && value < 1e7) return html`${groupThousands(value)}`
  if (value !== 0 && (value >= 1e7 || value < 1e-3)) return powerOfTen(value)
  return html`${String(Number(value.toPrecision(5)))}`
}

function powerOfTen(value: number): Html {
  const [mantissa, exponent] = value.toExponential(2).split('e')
  const power = String(Number(exponent)).replace('-', MINUS)
  return html`${mantissa!}${NARROW_SPACE}\u00d7${NARROW_SPACE}10<sup>${power}</sup>`
}

function groupThousands(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, NARROW_SPACE)
}
