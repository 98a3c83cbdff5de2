import type { CalibrationEvent } from '../record/index.js'
import { formatNumber } from './format.js'
import { type Html, html } from './html.js'
import type { ReportRun } from './report-run.js'

/** What a calibrated gate did, in words: its constants change little, and slowly. Nothing for other gates. */
export function renderGateSummary({ calibrations = [] }: ReportRun): Html {
  const [first, last] = [calibrations[0], calibrations.at(-1)]
  if (first === undefined || last === undefined) return html``
  const course = (pick: (event: CalibrationEvent) => number): Html => {
    const [from, to] = [short(pick(first)), short(pick(last))]
    return from.markup === to.markup ? html`stayed at ${to}` : html`went from ${from} to ${to}`
  }
  const times =
    calibrations.length === 1 ? html`once` : html`${formatNumber(calibrations.length, 'count')} times`
  const missed = calibrations.filter(({ reached }) => !reached).length
  const failures =
    missed === 0
      ? html``
      : html` ${formatNumber(missed, 'count')} of the calibrations could not reach the target.`
  return html`<p>The gate was calibrated ${times}: the score with the middle weight \u03bc ${course(({ mu }) => mu)}, the temperature \u03c4 ${course(({ tau }) => tau)}. ${renderTarget(calibrations, last)}${failures}</p>`
}

function short(value: number): Html {
  return formatNumber(Number(value.toPrecision(3)), 'plain')
}

function renderTarget(calibrations: readonly CalibrationEvent[], { targetEss }: CalibrationEvent): Html {
  const found = calibrations.map(({ essRatio }) => essRatio).filter(Number.isFinite)
  if (!Number.isFinite(targetEss) || found.length === 0) return html``
  const least = formatNumber(
    found.reduce((a, b) => Math.min(a, b)),
    'ratio',
  )
  const most = formatNumber(
    found.reduce((a, b) => Math.max(a, b)),
    'ratio',
  )
  const range = least.markup === most.markup ? html`${least}` : html`between ${least} and ${most}`
  return html`It reached an effective sample size of ${range}; the target is ${formatNumber(targetEss, 'ratio')}.`
}
