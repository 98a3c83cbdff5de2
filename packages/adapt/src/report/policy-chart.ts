import type { PolicyEvent } from '../record/index.js'
import type { ChartSeries, ChartSpec } from './chart-spec.js'
import { visibleText } from './html.js'
import type { SourceColors } from './source-colors.js'

/** Points of a line: more would not be seen. */
const MAX_POINTS = 160

/** How a method shared what is read, or what counts, out among the sources, over the course of a run. */
export function policyChart(policies: readonly PolicyEvent[], colors: SourceColors): ChartSpec {
  const stride = Math.max(1, Math.ceil(policies.length / MAX_POINTS))
  // The last one is what the run ended with.
  const drawn = policies.filter((_, i) => (policies.length - 1 - i) % stride === 0)
  const names = [...new Set(drawn.flatMap(({ shares }) => Object.keys(shares)))].sort()
  const grey = names.filter((name) => colors.own(name) === undefined)
  const line = (name: string): ChartSeries => ({
    label: visibleText(name),
    color: colors.of(name),
    width: 2,
    points: drawn.length <= 12,
    values: drawn.map(({ shares }) => (Object.hasOwn(shares, name) ? shares[name]! : null)),
  })
  const others = grey.map(
    (name, i): ChartSeries => ({
      ...line(name),
      label: grey.length === 1 ? visibleText(name) : `${grey.length} other sources`,
      width: 0.75,
      unnamed: i > 0,
    }),
  )
  return {
    title: 'Share by source',
    about: 'What the method gave each source of the steps that followed.',
    yLabel: 'share',
    yRange: [0, null],
    smoothPoints: 1,
    wide: true,
    named: true,
    tables: [
      {
        steps: drawn.map(({ step }) => step),
        series: [...others, ...names.filter((name) => !grey.includes(name)).map(line)],
      },
    ],
  }
}
