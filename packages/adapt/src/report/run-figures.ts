import type { ValidationFigures } from '../record/index.js'
import type { ReportRun } from './report-run.js'
import { ownValue, ShareSums, type SourceShare } from './source-shares.js'

/** The row of all sources together. */
const HELD_OUT_ALL = 'eval_loss'

/** What the tables say about one run. NaN where the run has nothing to say. */
export interface RunFigures {
  /** From the last evaluation, by set. */
  readonly bitsPerByte: ReadonlyMap<string, number>
  readonly evaluationStep: number
  /** Mean nats per trained token of held-out training data at the last evaluation: `all`, then by source. */
  readonly evalLoss: ReadonlyMap<string, number>
  /** Mean unweighted loss of the last tenth of the steps. */
  readonly finalLoss: number
  /** Mean gate weight over all samples. */
  readonly edr: number
  /** Mean over the steps. */
  readonly essRatio: number
  readonly steps: number
  readonly skippedSteps: number
  /** Steps with a loss or gradient norm that is not finite. */
  readonly nonFiniteSteps: number
  /** Times that the run went on after a stop; NaN when unknown. */
  readonly restarts: number
  /** Warnings and errors; NaN when unknown. */
  readonly warnings: number
  /** Mean shares of the objective over the steps, by source in order of name. */
  readonly shares: ReadonlyMap<string, SourceShare>
  /** Positions processed, prompts included. */
  readonly tokens: number
  readonly flopsTrain: number
  readonly flopsSignal: number
  /** Of the method before training, or of an earlier run whose preparation was found; NaN for one that prepared nothing. */
  readonly flopsPreparation: number
  /** Sum over the steps; evaluation, saving and pauses are not in it. */
  readonly trainSeconds: number
  /** Share of `trainSeconds`. */
  readonly signalShare: number
  readonly tokensPerSecond: number
}

export function computeRunFigures(run: ReportRun): RunFigures {
  const { steps } = run
  const last = steps.at(-1)
  const taken = steps.filter((step) => !step.skipped)
  const tail = taken.slice(Math.floor(taken.length * 0.9))
  const milliseconds = sum(steps.map((step) => step.stepMs))
  const tokens = sum(steps.map((step) => step.numTokensProcessed))
  const evaluation = run.evaluations.reduce<(typeof run.evaluations)[number] | undefined>(
    (latest, candidate) => (latest === undefined || candidate.step >= latest.step ? candidate : latest),
    undefined,
  )
  const samples = sum(taken.map((step) => step.numSamples))
  const shares = new ShareSums()
  for (const step of taken) shares.add(step)
  return {
    bitsPerByte: new Map(
      Object.entries(evaluation?.sources ?? {}).flatMap(([name, { bits_per_byte: bits }]) =>
        bits === null ? [] : [[name, bits] as const],
      ),
    ),
    evaluationStep: evaluation?.step ?? Number.NaN,
    evalLoss: lossesOf(evaluation?.validation),
    finalLoss: sum(tail.map((step) => step.lossUnweighted)) / tail.length,
    edr: sum(taken.map((step) => step.weightMean * step.numSamples)) / samples,
    essRatio: sum(taken.map((step) => step.essRatio)) / taken.length,
    steps: last?.step ?? 0,
    skippedSteps: steps.length - taken.length,
    nonFiniteSteps: steps.filter((s) => !Number.isFinite(s.lossWeighted) || !Number.isFinite(s.gradNorm))
      .length,
    restarts: run.restarts ?? Number.NaN,
    warnings: run.alerts?.filter((alert) => alert.severity !== 'info').length ?? Number.NaN,
    shares: shares.means(),
    tokens,
    flopsTrain: last?.flopsTrain ?? Number.NaN,
    flopsSignal: last?.flopsSignal ?? Number.NaN,
    flopsPreparation: run.preparation?.flops ?? Number.NaN,
    trainSeconds: milliseconds / 1000,
    signalShare: sum(steps.map((step) => step.signalMs)) / milliseconds,
    tokensPerSecond: tokens / (milliseconds / 1000),
  }
}

function lossesOf(validation: ValidationFigures | undefined): Map<string, number> {
  if (validation === undefined) return new Map()
  const losses = [
    [HELD_OUT_ALL, validation.eval_loss] as const,
    ...Object.entries(validation.sources).map(([name, e]) => [name, e.nats_per_token] as const),
  ]
  // A source without a trained token has no loss.
  return new Map(losses.flatMap(([name, loss]) => (loss === null ? [] : [[name, loss] as const])))
}

/** Of one evaluation set; NaN where it was not evaluated, or had nothing to predict. */
export function bitsPerByte(
  sources: Readonly<Record<string, { readonly bits_per_byte: number | null }>>,
  name: string,
): number {
  return ownValue(sources, name)?.bits_per_byte ?? Number.NaN
}

/** Evaluation sets of all runs, in the order of their first appearance. */
export function evaluationNames(figures: readonly RunFigures[]): string[] {
  return [...new Set(figures.flatMap((run) => [...run.bitsPerByte.keys()]))]
}

/** Plain mean over the named sets; NaN when one is missing. */
export function meanBitsPerByte(figures: RunFigures, names: readonly string[]): number {
  return sum(names.map((name) => figures.bitsPerByte.get(name) ?? Number.NaN)) / names.length
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
