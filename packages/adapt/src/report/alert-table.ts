import type { AlertEvent } from '../record/index.js'
import { formatNumber } from './format.js'
import { type Html, html, visibleText } from './html.js'

interface AlertGroup {
  readonly severity: AlertEvent['severity']
  readonly code: string
  count: number
  readonly firstStep: number
  lastStep: number
  message: string
}

/** Alerts of a run by code, the worst first, each with its last message. */
export function renderAlertTable(alerts: readonly AlertEvent[]): Html {
  const groups = new Map<string, AlertGroup>()
  for (const { severity, code, step, message } of alerts) {
    const key = `${severity} ${code}`
    const group = groups.get(key)
    if (group === undefined)
      groups.set(key, { severity, code, count: 1, firstStep: step, lastStep: step, message })
    else Object.assign(group, { count: group.count + 1, lastStep: step, message })
  }
  const order = ['error', 'warning', 'info']
  const sorted = [...groups.values()].sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity))
  const rows = sorted.map(
    (group) =>
      html`<tr><th scope="row">${visibleText(group.code)}</th><td>${visibleText(group.severity)}</td><td>${formatNumber(group.count, 'count')}</td><td>${renderSteps(group)}</td><td class="what">${visibleText(group.message)}</td></tr>`,
  )
  return html`<div class="scroll"><table class="alerts"><thead><tr><th scope="col"></th><th scope="col">severity</th><th scope="col">times</th><th scope="col">steps</th><th scope="col" class="what">last message</th></tr></thead><tbody>${rows}</tbody></table></div>`
}

function renderSteps({ firstStep, lastStep }: AlertGroup): Html {
  return firstStep === lastStep ? html`${firstStep}` : html`${firstStep} to ${lastStep}`
}
