import type { Audit, AuditedSignal } from './audit-signals.js'
import { decidingAuc, type Estimate } from './signal-figures.js'

/** A figure in [-1, 1] without the zero before its point; what was not measured is a dash. */
export function shortFigure(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '-'
  return value
    .toFixed(2)
    .replace(/^(-?)0(?=\.)/, '$1')
    .replace(/^-\.00$/, '.00')
}

/** A figure with its interval. */
export function shortEstimate(estimate: Estimate | undefined): string {
  if (estimate === undefined || Number.isNaN(estimate.value)) return '-'
  const [low, high] = estimate.interval.map(shortFigure)
  return `${shortFigure(estimate.value)} [${low}, ${high}]`
}

/** A share as per cent; small ones with a digit behind the point. */
export function percent(share: number | undefined): string {
  if (share === undefined || !Number.isFinite(share)) return '-'
  const value = 100 * share
  return `${value === 0 ? '0' : value < 0.05 ? '<0.1' : value.toFixed(value < 9.95 ? 1 : 0)} %`
}

/** What the audit comes to, in a sentence. */
export function verdictOf({ signals, best, ties, influence }: Audit): string {
  const found = signals.find(({ name }) => name === best)
  if (found !== undefined) {
    const goes = influence === undefined ? '' : `, influence ${shortEstimate(found.influence?.dot)}`
    const others = ties.length === 0 ? '' : `; not told apart from it: ${ties.join(', ')}`
    return `worth training with: ${found.name} (AUC ${shortEstimate(decidingAuc(found))}${goes})${others}`
  }
  if (signals.length === 0) return 'no signal was scored'
  const reasons = new Map<string, number>()
  for (const { says } of signals) reasons.set(says, (reasons.get(says) ?? 0) + 1)
  const said = [...reasons].map(([says, count]) => `${count} ${says}`).join(', ')
  return `none of the ${signals.length} signals is worth training with: ${said}`
}

/** Other methods that score as one does. */
export function alsoScoring({ methods, name }: AuditedSignal): readonly string[] {
  return methods.filter((id) => id !== name)
}

/** What was left out, those of one reason together. */
export function leftOutTogether({
  leftOut,
}: Audit): readonly { readonly names: string; readonly reason: string }[] {
  const names = new Map<string, string[]>()
  for (const { name, reason } of leftOut) names.set(reason, [...(names.get(reason) ?? []), name])
  return [...names].map(([reason, list]) => ({ names: list.join(', '), reason }))
}
