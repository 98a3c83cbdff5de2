/** U units of a step. */
import { bind, clamp, div, full, mul, noGrad, scope, sub, type Tensor, toDType, where } from '@adapt-ts/torch'
import type { Gate, StepOutcome } from '../method/contract.js'
import { NO_STATE, type PluginState } from '../method/contract.js'
import { defineGate } from '../method/define-method.js'

const amax = bind('aten::amax')
const amin = bind('aten::amin')
const abs = bind('aten::abs')
const maximum = bind('aten::maximum')
const isAtMost = bind('aten::le', 'Tensor')

/** A range narrower than this share of its ends is rounding of float32: scores that are equal but for it are equal. */
const MIN_WIDTH = 1e-6
/** Scores that the running form looks back on, and the shares of them that it leaves out at either end. */
const WINDOW = 4096
const TAIL = 0.01

/** clip((s - low) / (high - low), 0, 1); 1 for all where the range is none. Bounds are float64 scalars on the device. */
function between(score_U: Tensor, low: Tensor, high: Tensor): Tensor {
  const width = sub(high, low)
  const ends = maximum(abs(low) as Tensor, abs(high) as Tensor) as Tensor
  const weight_U = clamp(div(sub(toDType(score_U, 'float64'), low), width), 0, 1)
  return toDType(
    where(
      isAtMost(width, mul(ends, MIN_WIDTH)) as Tensor,
      full([], 1, { dtype: 'float64', device: score_U.device }),
      weight_U,
    ),
    'float32',
  )
}

/** w = (s - min) / (max - min) over the step; all scores alike: 1. */
export const minMaxGate = defineGate({
  kind: 'min-max',
  about: '(s - min) / (max - min) over the step',
  units: ['token', 'sample'],
  applies: ['loss'],
  view: 'step',
  options: {},
  create: () => ({
    weights: ({ score }) =>
      noGrad(() =>
        scope(() => {
          const exact_U = toDType(score, 'float64')
          return between(score, amin(exact_U, [0]) as Tensor, amax(exact_U, [0]) as Tensor)
        }),
      ),
  }),
})

/** The value below which a share of the sorted values lies, between two of them on a straight line. */
function quantileOf(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1)
  const below = sorted[Math.floor(place)]!
  return below + (sorted[Math.ceil(place)]! - below) * (place - Math.floor(place))
}

/** See {@link runningMinMaxGate}. */
export class RunningMinMaxGate implements Gate {
  /** The last scores, oldest first. */
  private recent: Float64Array = new Float64Array()
  private bounds: readonly [low: number, high: number] | undefined

  weights({ score }: Parameters<Gate['weights']>[0]): Tensor {
    const bounds = this.bounds
    const { shape, device } = score
    if (bounds === undefined) return full(shape, 1, { device })
    return noGrad(() =>
      scope(() => {
        const [low, high] = bounds.map((value) => full([], value, { dtype: 'float64', device })) as [
          Tensor,
          Tensor,
        ]
        return between(score, low, high)
      }),
    )
  }

  observe({ wasFinite, samples }: StepOutcome): void {
    if (wasFinite) this.keep([...this.recent, ...samples.score])
  }

  rescore(scores: Float64Array): void {
    this.keep([...scores])
  }

  private keep(scores: readonly number[]): void {
    this.recent = Float64Array.from(scores.slice(-WINDOW))
    const sorted = this.recent.slice().sort()
    this.bounds = sorted.length === 0 ? undefined : [quantileOf(sorted, TAIL), quantileOf(sorted, 1 - TAIL)]
  }

  /** The scores in the window. */
  state(): PluginState {
    return { ...NO_STATE, json: { recent: [...this.recent] } }
  }

  load({ json }: PluginState): void {
    this.keep(json.recent as number[])
  }
}

/**
 * w = clip((s - q01) / (q99 - q01), 0, 1) with the quantiles of the last 4096 scores before the step: no score sees the others of its step.
 * 1 for all in the first step.
 */
export const runningMinMaxGate = defineGate({
  kind: 'running-min-max',
  about: '(s - q01) / (q99 - q01), clipped to [0, 1], between quantiles of the scores seen lately',
  units: ['sample'],
  applies: ['loss'],
  view: 'batch',
  options: {},
  create: () => new RunningMinMaxGate(),
})
