/** Adaptive Data Optimization (ADO), arXiv 2410.11820. K sources with samples, G sources of the data. Page: docs/methods/ado.md. */
import { full } from '@adapt-ts/torch'
import { z } from 'zod'
import type { StepOutcome } from '../method/contract.js'
import { defineGate, defineMethod } from '../method/define-method.js'
import { EventList } from '../method/event-list.js'
import { wholeNumber } from '../method/number-ranges.js'
import { oneOf, option } from '../method/option-table.js'
import { requireData } from '../method/require-data.js'
import { constantSignal } from '../signal/index.js'
import { smoothSavitzkyGolay } from '../statistics/index.js'
import { type ActiveSources, activeSources } from './active-sources.js'
import { fitCurve, type LossCurve, slopeAt } from './loss-curves.js'

/** What a policy over sources has come to. */
export interface CurvePolicy {
  /** p: share of each source in what is read next, [K], sums to 1. */
  readonly shares: readonly number[]
  /** pbar: the mean of rho over the steps, [K]. */
  readonly mean: readonly number[]
  /** hist: moving average of the shares that were read, [K]. */
  readonly read: readonly number[]
}

/** How much of hist, and of pbar, a step keeps. */
const READ_DECAY = 0.9
const MEAN_SHARE = 0.9
/** What a share is raised to before they are brought to the sum 1 again. */
const LEAST_SHARE = 0.01

/**
 * The policy after a step.
 *
 *   rho  = normalise(slope mu sqrt(hist)), raised to 0.01 and normalised
 *   p    = 0.9 pbar + 0.1 rho,   then   pbar = (1 - 1/(t+1)) pbar + rho / (t+1)
 *
 * @param slopes  -dL/dn of each source. @param natural  mu. @param step  t: completed optimiser steps, this one included.
 * @see ADO, arXiv 2410.11820, section 4.
 */
export function followSlopes(
  { mean, read }: CurvePolicy,
  slopes: readonly number[],
  natural: readonly number[],
  step: number,
): CurvePolicy {
  const preference = raised(normalised(slopes.map((slope, i) => slope * natural[i]! * Math.sqrt(read[i]!))))
  return {
    shares: mean.map((m, i) => MEAN_SHARE * m + (1 - MEAN_SHARE) * preference[i]!),
    mean: mean.map((m, i) => (1 - 1 / (step + 1)) * m + preference[i]! / (step + 1)),
    read,
  }
}

/** hist after a step: 0.9 hist + 0.1 of the shares that were read in it. */
export const updateRead = (read: readonly number[], now: readonly number[]): number[] =>
  read.map((r, i) => READ_DECAY * r + (1 - READ_DECAY) * now[i]!)

/** No share below 0.01, then to the sum 1 again: so that the smallest end slightly below it. */
export const raised = (shares: readonly number[]): number[] =>
  normalised(shares.map((share) => Math.max(share, LEAST_SHARE)))

function normalised(values: readonly number[]): number[] {
  const total = values.reduce((a, b) => a + b, 0)
  return values.map((value) => value / total)
}

/** Steps of the source's constants, and of its runs of 124M parameters. */
const PAPER = { every: 1000, window: 101, stride: 10, steps: 60_000 } as const
/** Scaled constants are not smaller: a curve through a handful of losses says nothing. */
const LEAST = { every: 20, window: 5 } as const
/** Order of the polynomials that smooth. */
const ORDER = 3
/** Fewest points that a curve with three parameters is fitted to. */
const MIN_POINTS = 10

const AUTO_STEPS = option<number | 'auto'>(
  z.union([wholeNumber({ min: 0, max: 1_000_000_000 }), z.literal('auto')], {
    error: 'expected a whole number >= 0 or "auto"',
  }),
  ({ constants }) => (constants === 'paper' ? PAPER.every : 'auto'),
  '',
)

/** Shares of the sources by how fast their loss is still falling. */
export const curveSlope = defineGate({
  kind: 'curve-slope',
  about: 'share of each source in what is read next, by the slope of a curve through its training losses',
  units: ['sample'],
  applies: ['sample'],
  draws: 'sources',
  view: 'batch',
  options: {
    constants: oneOf(
      ['scaled', 'paper'],
      'scaled',
      'Whether steps, window and stride are the part of the run that they were in the source, or its own numbers',
    ),
    fitEvery: option<number | 'auto'>(
      z.union([wholeNumber({ min: 1, max: 1_000_000_000 }), z.literal('auto')], {
        error: 'expected a whole number >= 1 or "auto"',
      }),
      ({ constants }) => (constants === 'paper' ? PAPER.every : 'auto'),
      'Steps between two fits; auto: a sixtieth of the run, 20 at least',
    ),
    startStep: { ...AUTO_STEPS, help: 'No fit before this step; auto: a sixtieth of the run' },
    ignoreSteps: {
      ...AUTO_STEPS,
      help: 'First steps that no curve is fitted to; auto: a sixtieth of the run',
    },
  },
  needs: () => ({ sources: 2 }),
  create: (options, facts) => {
    const data = requireData(facts, 'method.gate curve-slope')
    const active = activeSources(data)
    const natural = active.shares
    const plan = fitPlan(options, facts.totalSteps)
    const history = new LossHistory(natural.length)
    let policy: CurvePolicy = { shares: natural, mean: natural, read: natural }
    let curves: readonly LossCurve[] | undefined
    const events = new EventList()
    return {
      weights: ({ score }) => full([score.shape[0]!], 1, { device: score.device }),
      shares: () => active.spread(policy.shares),
      observe({ step, wasFinite, samples }) {
        if (!wasFinite || samples.index.length === 0) return
        const sums = sumBySource(samples, data, active)
        history.add(sums.losses, samples.index.length)
        policy = { ...policy, read: updateRead(policy.read, normalised(sums.tokens)) }
        if (step >= plan.start && step % plan.every === 0) {
          const fitted = history.fit(plan, curves)
          if (fitted !== undefined) {
            curves = fitted
            const fields = {
              irreducible: active.named(curves.map(({ e }) => Math.exp(e))),
              exponent: active.named(curves.map(({ alpha }) => alpha)),
            }
            events.add({ kind: 'curves', step, fields })
          }
        }
        if (curves === undefined || step < plan.start) return
        const slopes = curves.map((curve) => slopeAt(curve, history.numSamples))
        policy = followSlopes(policy, slopes, natural, step)
        const fields = { shares: active.named(policy.shares), mean: active.named(policy.mean) }
        events.add({ kind: 'policy', step, fields })
      },
      takeEvents: events.take,
      state: () => ({
        json: { policy, ...(curves ? { curves } : {}), history: history.state() },
        tensors: new Map(),
      }),
      load({ json }) {
        const saved = json as unknown as {
          readonly policy: CurvePolicy
          readonly curves?: readonly LossCurve[]
          readonly history: readonly [string, string]
        }
        policy = saved.policy
        curves = saved.curves
        history.load(saved.history)
      },
    }
  },
})

/** When curves are fitted, and to which of the losses. */
interface FitPlan {
  readonly every: number
  readonly start: number
  readonly ignore: number
  readonly window: number
  readonly stride: number
}

/** The source's constants, or as large a part of the run as they were in its runs. */
export function fitPlan(
  {
    constants,
    fitEvery,
    startStep,
    ignoreSteps,
  }: {
    readonly constants: string
    readonly fitEvery: number | 'auto'
    readonly startStep: number | 'auto'
    readonly ignoreSteps: number | 'auto'
  },
  totalSteps: number,
): FitPlan {
  const scale = constants === 'paper' ? 1 : Math.min(1, totalSteps / PAPER.steps)
  const auto = Math.max(LEAST.every, Math.round(PAPER.every * scale))
  const half = Math.round(((PAPER.window - 1) / 2) * scale)
  return {
    every: fitEvery === 'auto' ? auto : fitEvery,
    start: startStep === 'auto' ? auto : startStep,
    ignore: ignoreSteps === 'auto' ? auto : ignoreSteps,
    window: Math.max(LEAST.window, 2 * half + 1),
    stride: Math.max(1, Math.round(PAPER.stride * scale)),
  }
}

/** Mean loss of each source in every step, and the samples that were read up to it. */
class LossHistory {
  /** float32: what a checkpoint keeps is what is here. */
  private losses: number[] = []
  private counts: number[] = []

  constructor(private readonly numSources: number) {}

  /** Samples that were read, of all sources: in the source, too, each source's count grows by the whole batch. */
  get numSamples(): number {
    return this.counts.at(-1) ?? 0
  }

  /** @param losses  By source; undefined for one that was not in the step: it keeps its last, and at first has the mean of the others. */
  add(losses: readonly (number | undefined)[], numSamples: number): void {
    const known = losses.filter((loss) => loss !== undefined)
    const mean = known.reduce((a, b) => a + b, 0) / known.length
    const last = this.losses.slice(-this.numSources)
    const now = losses.map((loss, i) => Math.fround(loss ?? last[i] ?? mean))
    this.losses.push(...now)
    this.counts.push(this.numSamples + numSamples)
  }

  /** A curve for every source; undefined while there are too few points, or where one has no finite parameters. */
  fit({ ignore, window, stride }: FitPlan, last: readonly LossCurve[] | undefined): LossCurve[] | undefined {
    const steps = Array.from(this.counts.keys()).filter((i) => i >= ignore && (i - ignore) % stride === 0)
    if (steps.length < MIN_POINTS) return undefined
    const curves = Array.from({ length: this.numSources }, (_, k) => {
      const own = this.counts.map((_, i) => this.losses[i * this.numSources + k]!)
      const smooth = smoothSavitzkyGolay(own, window, ORDER)
      const points = steps.map((i) => ({ n: this.counts[i]!, loss: smooth[i]! }))
      return fitCurve(points, last?.[k])
    })
    return curves.every((curve) => curve !== undefined) ? curves : undefined
  }

  /** Losses and counts in base 64: a run of many steps has many. */
  state(): [string, string] {
    const text = (values: Float32Array | Float64Array) => Buffer.from(values.buffer).toString('base64')
    return [text(Float32Array.from(this.losses)), text(Float64Array.from(this.counts))]
  }

  load([losses, counts]: readonly [string, string]): void {
    const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64')).buffer
    this.losses = [...new Float32Array(bytes(losses))]
    this.counts = [...new Float64Array(bytes(counts))]
  }
}

/** Mean nats per label of every source in the step, and its tokens. */
function sumBySource(
  { index, labels, loss }: StepOutcome['samples'],
  data: { sourceIndex(index: number): number; length(index: number): number },
  { indexes, placeOf }: ActiveSources,
): { readonly losses: (number | undefined)[]; readonly tokens: number[] } {
  const nats = indexes.map(() => 0)
  const counts = indexes.map(() => 0)
  const tokens = indexes.map(() => 0)
  for (const [i, sample] of index.entries()) {
    const place = placeOf.get(data.sourceIndex(sample))!
    nats[place]! += loss[i]! * labels[i]!
    counts[place]! += labels[i]!
    tokens[place]! += data.length(sample)
  }
  return { losses: nats.map((sum, k) => (counts[k]! > 0 ? sum / counts[k]! : undefined)), tokens }
}

/** Adaptive data optimisation: the draw of the sources follows the slopes of their learning curves. */
export const ado = defineMethod({
  id: 'ado',
  about: 'reads the sources by how fast fitted curves say their loss still falls (ADO, arXiv 2410.11820)',
  page: 'docs/methods/ado.md',
  signal: constantSignal,
  gate: curveSlope,
  apply: 'sample',
})
