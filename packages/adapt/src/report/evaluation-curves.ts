import type { ChartSpec } from './chart-spec.js'
import { visibleText } from './html.js'
import type { ReportEvaluation, ReportRun } from './report-run.js'
import { bitsPerByte } from './run-figures.js'
import { runStyle } from './run-style.js'
import type { SourceColors } from './source-colors.js'

/** How a curve of evaluations is drawn. */
export interface CurveContext {
  /** Evaluation sets in the order of the page. */
  readonly names: readonly string[]
  readonly colors: SourceColors
}

/** Bits per byte by set over a run as the change since its first evaluation; none for runs with one evaluation. */
export function evaluationChanges(runs: readonly ReportRun[], context: CurveContext): ChartSpec[] {
  const charts = runs.flatMap((run) => {
    const evaluations = inOrder(run).filter(({ sources }) => Object.keys(sources).length > 0)
    const [first] = evaluations
    if (evaluations.length < 2 || first === undefined) return []
    const about = `Bits per byte of held-out text, less those of step ${first.step}: below 0 is better.`
    return [
      setChart(run, evaluations, context, {
        title: `Change since step ${first.step}${runs.length === 1 ? '' : `: ${visibleText(run.name)}`}`,
        about,
        value: ({ sources }, name) => bitsPerByte(sources, name) - bitsPerByte(first.sources, name),
      }),
    ]
  })
  return withCommonRange(charts, [0])
}

/** Bits per byte of the other runs less those of the first run at the same step, over the run. */
export function evaluationDifferences(runs: readonly ReportRun[], context: CurveContext): ChartSpec[] {
  const [base, ...others] = runs
  if (base === undefined) return []
  const bySteps = new Map(base.evaluations.map(({ step, sources }) => [step, sources]))
  const charts = others.flatMap((run) => {
    const evaluations = inOrder(run).filter(({ step }) => bySteps.has(step))
    // Runs that were evaluated at other steps have no curve of differences.
    if (evaluations.length < 2) return []
    return [
      setChart(run, evaluations, context, {
        title: `${visibleText(run.name)} against ${visibleText(base.name)}`,
        about: 'Difference in bits per byte at the same step: below 0 is better than the first run.',
        value: ({ step, sources }, name) =>
          bitsPerByte(sources, name) - bitsPerByte(bySteps.get(step)!, name),
      }),
    ]
  })
  return withCommonRange(charts, [0])
}

/** Loss on the held-out part of the training data over the runs; none when no run has two of them. */
export function heldOutLoss(runs: readonly ReportRun[]): ChartSpec[] {
  const curves = runs.map((run) => inOrder(run).filter(({ validation }) => validation !== undefined))
  if (curves.every((curve) => curve.length < 2)) return []
  return [
    {
      title: 'eval_loss',
      about: 'Mean nats per trained token of what was held out of the training data.',
      yLabel: 'nats per token',
      smoothPoints: 1,
      tables: curves.map((curve, i) => ({
        steps: curve.map(({ step }) => step),
        series: [
          {
            label: runs.length === 1 ? 'eval_loss' : visibleText(runs[i]!.name),
            ...runStyle(i, runs.length),
            points: true,
            values: curve.map(({ validation }) => finite(validation!.eval_loss ?? Number.NaN)),
          },
        ],
      })),
    },
  ]
}

function setChart(
  run: ReportRun,
  evaluations: readonly ReportEvaluation[],
  { names, colors }: CurveContext,
  shown: {
    readonly title: string
    readonly about: string
    readonly value: (evaluation: ReportEvaluation, name: string) => number
  },
): ChartSpec {
  const anchored = new Set(run.anchoredSources ?? [])
  return {
    title: shown.title,
    about: shown.about,
    yLabel: 'bits per byte',
    smoothPoints: 1,
    wide: true,
    named: true,
    reference: { value: 0, label: '' },
    tables: [
      {
        steps: evaluations.map(({ step }) => step),
        series: names.map((name) => ({
          label: visibleText(name),
          color: colors.of(name),
          strong: anchored.has(name),
          width: anchored.has(name) ? 3 : 2,
          points: evaluations.length <= 60,
          sparse: true,
          unnamed: colors.own(name) === undefined && names.length > 12,
          values: evaluations.map((evaluation) => finite(shown.value(evaluation, name))),
        })),
      },
    ],
  }
}

/** One scale for all charts; of differences with zero, else one that means nothing would look as large as any. */
export function withCommonRange(
  charts: readonly ChartSpec[],
  alwaysShown: readonly number[] = [],
): ChartSpec[] {
  const values = charts.flatMap(({ tables }) =>
    tables.flatMap(({ series }) => series.flatMap((one) => one.values)),
  )
  const shown = [...values.filter((value) => value !== null), ...alwaysShown]
  if (shown.length === 0) return [...charts]
  const low = shown.reduce((least, value) => Math.min(least, value))
  const high = shown.reduce((most, value) => Math.max(most, value))
  const margin = 0.06 * (high - low || 1)
  return charts.map((chart) => ({ ...chart, yRange: [low - margin, high + margin] }))
}

function inOrder(run: ReportRun): ReportEvaluation[] {
  return [...run.evaluations].sort((a, b) => a.step - b.step)
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(6)) : null
}
