import { type DotRow, renderDotChart } from '../report/dot-chart.js'
import { type Html, html } from '../report/html.js'
import type { ColorName } from '../report/source-colors.js'
import type { NoiseFloor, PairedSummary, Verdict } from '../statistics/index.js'
import { signed } from './text-table.js'

/** Differences of some arms in one figure. */
export interface Forest {
  /** What the axis means. */
  readonly label: string
  readonly color: ColorName
  /** Those without a difference are left out. */
  readonly arms: readonly {
    readonly arm: string
    readonly paired?: (PairedSummary & { readonly verdict: Verdict }) | undefined
  }[]
  readonly floor: NoiseFloor | undefined
}

/** Arms by row, the difference on the axis, the floor as a band around zero. */
export function renderForest({ label, color, arms, floor }: Forest): Html {
  const rows = arms.flatMap(({ arm, paired }): DotRow[] => {
    if (paired === undefined) return []
    const { mean, low, high, differences, verdict } = paired
    const rings = differences.map((value) => ({ value, color, isRing: true }))
    const mark = {
      value: mean,
      color,
      title: `${arm}: ${signed(mean)}, ${verdict}`,
      ...(Number.isFinite(low) ? { interval: [low, high] as const } : { interval: [mean, mean] as const }),
    }
    return [
      {
        name: arm,
        marks: [mark, ...(differences.length > 1 ? rings : [])],
        text: html`${minus(signed(mean))}`,
      },
    ]
  })
  return renderDotChart({ label, rows, fromZero: true, ...(floor ? { floor: floor.largest } : {}) })
}

/** Hyphens before digits as minus signs. */
export function minus(text: string): string {
  return text.replace(/(^|[[ (])-(?=\d)/g, '$1\u2212')
}
