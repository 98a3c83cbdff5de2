import {
  add,
  clamp,
  div,
  full,
  mul,
  noGrad,
  scope,
  sigmoid,
  softmax,
  sub,
  type Tensor,
} from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import {
  type Gate,
  type MethodEvent,
  NO_STATE,
  type PluginState,
  type Scores,
  type StepOutcome,
  type Trust,
} from '../method/index.js'
import { type Calibration, ScoreHistogram, solveTau } from './calibration.js'
import { afterLift, beforeLift, EssTarget, type EssTargetOptions, type Lift, liftFor } from './ess-target.js'

const detached = (fn: () => Tensor) => noGrad(() => scope(fn))

function requirePositive(name: string, value: number): void {
  if (!(value > 0))
    throw new ConfigError('OUT_OF_RANGE', `gate.${name}: expected a number > 0, received ${value}`)
}

/** w = max(s, 0): a negative score must not turn descent into ascent. */
export function createIdentityGate(): Gate {
  return { weights: ({ score }) => detached(() => clamp(score, 0, null)) }
}

/** w = max(offset + slope s, 0). With a small slope: weights that hardly differ, as a twin run has them. */
export function createLinearGate({ offset = 1, slope = 1 } = {}): Gate {
  return {
    weights: ({ score }) => detached(() => clamp(add(mul(score, slope), offset), 0, null)),
  }
}

/**
 * ADAPT's gate: w = clip(sigmoid(s / max(tau, 1e-8)), wMin, wMax). Global: a sample's weight does not depend on
 * its neighbours in the batch.
 * @param options.temperature tau, in units of the score, > 0. Default 1, the paper's: with cosines the largest and
 *   the smallest weight then differ by a factor of e at most.
 * @throws {ConfigError} OUT_OF_RANGE unless temperature > 0 and 0 <= wMin < wMax.
 */
export function createSigmoidGate({ temperature = 1, wMin = 0, wMax = 1 } = {}): Gate {
  requirePositive('temperature', temperature)
  if (!(wMin >= 0 && wMax > wMin))
    throw new ConfigError(
      'OUT_OF_RANGE',
      `gate.w_min, gate.w_max: expected 0 <= w_min < w_max, received ${wMin}, ${wMax}`,
    )
  return {
    weights: ({ score }) =>
      detached(() => clamp(sigmoid(div(score, Math.max(temperature, 1e-8))), wMin, wMax)),
  }
}

/**
 * w_i = n exp(s_i / tau) / sum_j exp(s_j / tau) over the n samples of the whole optimiser step; the mean weight
 * is 1. Needs every score before the first backward, hence a scoring forward (+2N FLOPs per token).
 */
export function createSoftmaxGate({ temperature = 1 } = {}): Gate {
  requirePositive('temperature', temperature)
  return {
    view: 'step',
    weights: ({ score }) => detached(() => mul(softmax(div(score, temperature), 0), score.shape[0]!)),
  }
}

/** Targets of the calibrated gate, and when it solves for them. */
export interface CalibratedGateOptions {
  /** Target Kish effective sample size as a share of the samples, in (edr, 1). Default 0.95. */
  readonly ess?: number
  /** Target mean weight. Default min(0.5, 0.6 ess). */
  readonly edr?: number
  /** Optimiser steps between two calibrations. Default 50. */
  readonly updateEvery?: number
  /** Optimiser steps with weight 1 for all, in which scores are only collected. */
  readonly warmupSteps: number
  /** Optimiser steps over which the target falls from 1 to `ess`. Default: none, it is `ess` from the start. */
  readonly anneal?: EssTargetOptions['anneal'] | undefined
  /** Least weight as a share of the mean weight, in [0, 1). Default 0. */
  readonly floor?: number
  /** What the target follows besides. Default off. */
  readonly trust?: EssTargetOptions['trust']
}

/**
 * w = sigmoid((s - mu) / tau), with mu and tau solved so that the mean weight is `edr` and the effective sample
 * size `ess` over the scores seen lately (a histogram that forgets 1 % a step). The constants are frozen during a
 * step, so the gate stays global. With a floor f the weight is a + (1 - a) sigmoid, a = f edr, solved for the same targets; the target
 * itself may follow a schedule and the trust in the signal ({@link EssTarget}).
 */
export class CalibratedSigmoidGate implements Gate {
  private readonly target: EssTarget
  private readonly lift: Lift
  private readonly edr: number
  private readonly updateEvery: number
  private readonly warmupSteps: number
  private readonly histogram = new ScoreHistogram()
  private calibration: Calibration | undefined
  private completed = 0
  private readonly events: MethodEvent[] = []

  constructor({
    ess = 0.95,
    edr = Math.min(0.5, 0.6 * ess),
    updateEvery = 50,
    warmupSteps,
    anneal,
    floor = 0,
    trust = 'off',
  }: CalibratedGateOptions) {
    if (ess <= edr)
      throw new ConfigError(
        'ESS_INFEASIBLE',
        `gate.ess: expected more than gate.edr (${edr}), received ${ess}`,
      )
    this.target = new EssTarget({ ess, trust, ...(anneal ? { anneal } : {}) })
    this.lift = liftFor(floor, edr)
    this.edr = edr
    this.updateEvery = updateEvery
    this.warmupSteps = warmupSteps
  }

  weights({ score }: Scores): Tensor {
    const { calibration } = this
    if (!calibration) return full(score.shape, 1, { device: score.device })
    const { a, b } = this.lift
    return detached(() => {
      const sigma_S = sigmoid(div(sub(score, calibration.mu), calibration.tau))
      return a === 0 ? sigma_S : add(mul(sigma_S, b), a)
    })
  }

  observe({ wasFinite, step, samples }: StepOutcome): void {
    if (!wasFinite) return
    this.histogram.decayAndAdd(this.histogram.countScores(samples.score))
    this.completed = step
    const due = step >= this.warmupSteps && (!this.calibration || step % this.updateEvery === 0)
    if (due) this.calibrate(step)
  }

  rescore(scores: Float64Array, step: number): void {
    this.histogram.replace(this.histogram.countScores(scores))
    if (this.completed >= this.warmupSteps && this.completed > 0) this.calibrate(step)
  }

  trust(figures: Trust, step: number): void {
    const seen = this.target.see(figures)
    if (seen === undefined) return
    const targetEss = this.target.at(step) ?? 1
    this.events.push({ kind: 'trust', step, fields: { ...figures, smoothed: seen.smoothed, targetEss } })
  }

  private calibrate(step: number): void {
    const targetEss = this.target.at(step)
    if (targetEss === undefined) {
      this.calibration = undefined
      return
    }
    const points = this.histogram.weightedScores()
    if (points.scores.length === 0) return
    const previous = this.calibration
    const targets = beforeLift({ edr: this.edr, ess: targetEss }, this.lift)
    const solved = solveTau(points, { ...targets, ...(previous ? { previous } : {}) })
    // Without a first solution (all scores equal, say) every weight stays 1, and the next step tries again.
    if (solved.reached || previous) this.calibration = solved
    const { mu, tau, reached } = solved
    const { edr, ess: essRatio } = afterLift({ edr: solved.edr, ess: solved.essRatio }, this.lift)
    const fields = { mu, tau, targetEdr: this.edr, targetEss, edr, essRatio }
    this.events.push({
      kind: 'calibration',
      step,
      fields: { ...fields, numScores: this.histogram.total, reached },
    })
  }

  takeEvents(): readonly MethodEvent[] {
    return this.events.splice(0)
  }

  /** The histogram and the constants in force. */
  state(): PluginState {
    const json = {
      calibration: this.calibration ?? null,
      completed: this.completed,
      trust: this.target.state(),
      counts: Array.from(this.histogram.counts),
    }
    return { ...NO_STATE, json }
  }

  load({ json }: PluginState): void {
    this.calibration = (json.calibration as Calibration | null) ?? undefined
    this.completed = Number(json.completed)
    this.target.load(json.trust)
    this.histogram.replace(json.counts as number[])
  }
}
