import type { ProfileSummary } from '../../profile/index.js'
import { renderTable } from './render-table.js'

/** Operators that the table names; the file has all of them. */
const SHOWN_OPERATORS = 20

/** Where the time of the recorded steps went: by part, by kind and by operator. */
export function renderProfile(summary: ProfileSummary): string {
  const { firstStep, lastStep, numSteps, wallUs, parts, kinds, operators, elsewhereUs, dropped } = summary
  const number = (heading: string) => ({ heading, isNumeric: true })
  const share = (value: number) => `${(100 * value).toFixed(1)} %`
  const ms = (us: number) => (us / 1000 / numSteps).toFixed(2)
  const title = `steps ${firstStep} to ${lastStep}: ${ms(wallUs)} ms a step\n`
  const byPart = renderTable(
    [{ heading: 'part' }, number('share'), number('ms/step'), number('of which JS')],
    parts.map(({ name, share: of, us, javascriptUs }) => [name, share(of), ms(us), ms(javascriptUs)]),
  )
  const byKind = renderTable(
    [{ heading: 'time for' }, number('share'), number('ms/step')],
    kinds.map(({ name, share: of, us }) => [name, share(of), ms(us)]),
  )
  const shown = operators.slice(0, SHOWN_OPERATORS)
  const rest = operators.slice(SHOWN_OPERATORS)
  const byOperator = renderTable(
    [
      { heading: 'operator (own time)' },
      { heading: 'counted as' },
      ...[number('share'), number('ms/step'), number('calls'), number('mean us')],
    ],
    shown.map(({ name, kind, share: of, us, calls, meanUs }) => [
      ...[name.replace('autograd::engine::evaluate_function: ', 'engine: '), kind],
      ...[share(of), ms(us), perStep(calls / numSteps), meanUs.toFixed(1)],
    ]),
  )
  const restUs = rest.reduce((sum, { us }) => sum + us, 0)
  const notes = [
    ...(rest.length > 0 ? [`${rest.length} more operators: ${ms(restUs)} ms/step`] : []),
    ...(elsewhereUs > 0 ? [`beside them, in other threads: ${ms(elsewhereUs)} ms/step of operators`] : []),
    ...(dropped > 0 ? [`${dropped} events found no room; their time is in what lies around them`] : []),
  ]
  return [title, byPart, byKind, byOperator, notes.map((line) => `${line}\n`).join('')]
    .filter((block) => block !== '')
    .join('\n')
}

const perStep = (calls: number) => (Number.isInteger(calls) ? String(calls) : calls.toFixed(1))
