/** B rows, T positions, D width, S samples, V anchors. */
import { add, cat, clone, mean, mul, noGrad, scope, sub, type Tensor, zeros } from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import { gatherInOrder } from './gather-in-order.js'
import { type Pooling, poolHidden } from './pool-hidden.js'
import { Reservoir } from './reservoir.js'
import type { PluginState, RefreshReport, Signal, SignalBatch, SignalContext } from './signal.js'
import { dotRows, lengthOf, unitRows } from './unit-vectors.js'

/** Pooling, refresh and centring of the signal. */
export interface ModelEmbeddingOptions {
  readonly pooling?: Pooling
  readonly tokens?: 'all' | 'response_only'
  /** Optimiser steps between two embeddings of the anchors. Default 50. */
  readonly refreshEvery?: number
  /** Subtract the mean of recent samples from samples and anchors before normalising. Default false. */
  readonly center?: boolean
  /** Share of the new centroid at a refresh, in (0, 1]. Default 1. */
  readonly centroidEma?: number
  /** Score with a forward of its own in evaluation mode. Default false: the training forward is reused. */
  readonly scoreEval?: boolean
  /** Samples remembered for centring and for recalibration at a refresh. Default 4096. */
  readonly reservoirSize?: number
}

/**
 * ADAPT's signal: how close the model itself, at this moment, finds a sample to the anchors.
 *
 *   s(x) = (1/V) sum_v cos(phi(x), phi(v)) = <phi(x)/|phi(x)|, c>,   c = (1/V) sum_v phi(v)/|phi(v)|
 *
 * phi is the pooled last hidden state of the current model. c is a mean of unit vectors and is not normalised
 * again, so one dot product a sample is exact whatever the number of anchors. With `center` the mean of the
 * samples seen lately is subtracted from every phi first, which removes what all texts share; until a first step
 * has been seen every score is then 0.
 *
 * @see arXiv 2605.05227. Deviation: centring is ours.
 */
export class ModelEmbeddingSignal implements Signal {
  readonly needs: { readonly anchors: true; readonly separateForward: boolean }
  private readonly options: Required<ModelEmbeddingOptions>
  private readonly reservoir: Reservoir
  private anchors_VD: Tensor | undefined
  private centroid_D: Tensor | undefined
  private mean_D: Tensor | undefined
  private lastRefresh = -1
  /** Pooled vectors of the running step by micro-batch. */
  private pending: Tensor[] = []

  constructor(options: ModelEmbeddingOptions = {}) {
    this.options = {
      pooling: 'position_weighted',
      tokens: 'all',
      refreshEvery: 50,
      center: false,
      centroidEma: 1,
      scoreEval: false,
      reservoirSize: 4096,
      ...options,
    }
    if (this.options.center && this.options.centroidEma < 1) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        'signal.centroid_ema: expected 1 with center: true, where the centroid is rebuilt after every step',
      )
    }
    this.needs = { anchors: true, separateForward: this.options.scoreEval }
    this.reservoir = new Reservoir(this.options.reservoirSize)
  }

  score({ inputs, hidden_BTD }: SignalBatch): Tensor {
    return noGrad(() => {
      const pooled_SD = poolHidden(hidden_BTD, inputs.batch, this.options, hidden_BTD.device)
      this.pending.push(clone(pooled_SD).persist())
      return this.scoreRows(pooled_SD)
    })
  }

  /** Scores of pooled vectors [N, D] under the centroid and mean in force: float32 [N]. */
  private scoreRows(pooled_ND: Tensor): Tensor {
    if (!this.centroid_D)
      throw new ConfigError('NO_ANCHORS', 'the anchors were not embedded before the first score')
    const centroid_D = this.centroid_D
    if (!this.options.center) return scope(() => dotRows(unitRows(pooled_ND), centroid_D))
    if (!this.mean_D) return zeros([pooled_ND.shape[0]!], { device: pooled_ND.device })
    const mean_D = this.mean_D
    return scope(() => dotRows(unitRows(sub(pooled_ND, mean_D)), centroid_D))
  }

  beforeStep(step: number, context: SignalContext): RefreshReport | undefined {
    const due = this.lastRefresh < 0 || step - this.lastRefresh >= this.options.refreshEvery
    return due ? this.refresh(step, context) : undefined
  }

  private refresh(step: number, context: SignalContext): RefreshReport {
    const { anchors, collective } = context
    if (anchors.length === 0)
      throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
    const previous_D = this.centroid_D && clone(this.centroid_D).persist()
    this.replace('anchors_VD', () => this.embedAnchors(context))
    this.rebuildCentroid(previous_D)
    const staleness = previous_D ? 1 - cosine(previous_D, this.centroid_D!) : 0
    previous_D?.dispose()
    this.lastRefresh = step
    const rescored = this.rescoreReservoir()
    const numTokens = anchors.reduce(
      (total, batch) => total + batch.samples.reduce((sum, sample) => sum + sample.numTokens, 0),
      0,
    )
    return {
      numAnchors: this.anchors_VD!.shape[0]!,
      numTokens,
      figures: { resultantLength: lengthOf(this.centroid_D!), staleness, worldSize: collective.worldSize },
      ...(rescored ? { rescored } : {}),
    }
  }

  /** Raw pooled anchors [V, D]; batches are shared out over the ranks. */
  private embedAnchors(context: SignalContext): Tensor {
    const { anchors, collective } = context
    return noGrad(() =>
      scope(() => {
        const mine = anchors.filter((_, i) => i % collective.worldSize === collective.rank)
        const pooled = mine.map((batch) =>
          scope(() => {
            const { hidden_BTD } = context.embed(batch)
            return poolHidden(hidden_BTD, batch, this.options, hidden_BTD.device)
          }),
        )
        return cat(gatherInOrder(pooled, collective).map(({ rows }) => rows))
      }),
    )
  }

  /** c from the raw anchors and the mean in force; with an EMA, mixed with the previous one. */
  private rebuildCentroid(previous_D?: Tensor): void {
    const anchors_VD = this.anchors_VD!
    const { center, centroidEma } = this.options
    this.replace('centroid_D', () =>
      noGrad(() =>
        scope(() => {
          const rows = center && this.mean_D ? sub(anchors_VD, this.mean_D) : anchors_VD
          const fresh_D = mean(unitRows(rows), 0)
          return previous_D && centroidEma < 1
            ? add(mul(previous_D, 1 - centroidEma), mul(fresh_D, centroidEma))
            : fresh_D
        }),
      ),
    )
  }

  /**
   * Remembers the step's samples in global order; a centring mean follows, and c with it. The first mean gives the
   * samples that had to be scored without one, all 0, their real scores.
   */
  afterStep({ collective }: SignalContext, wasFinite: boolean): Float64Array | undefined {
    const seen = this.pending
    this.pending = []
    if (wasFinite) {
      scope(() => {
        for (const { rows } of gatherInOrder(seen, collective)) this.reservoir.push(rows)
      })
    }
    for (const pooled of seen) pooled.dispose()
    if (!this.options.center || this.reservoir.size === 0) return undefined
    const isFirstMean = this.mean_D === undefined
    this.replace('mean_D', () => this.reservoir.mean()!)
    this.rebuildCentroid()
    return isFirstMean ? this.rescoreReservoir() : undefined
  }

  /** Scores of the remembered samples as they are now, or undefined when there are none. */
  private rescoreReservoir(): Float64Array | undefined {
    return noGrad(() =>
      scope(() => {
        const rows = this.reservoir.rows()
        return rows && this.scoreRows(rows).toFloat64Array()
      }),
    )
  }

  private replace(field: 'anchors_VD' | 'centroid_D' | 'mean_D', make: () => Tensor): void {
    const old = this[field]
    this[field] = make().persist()
    old?.dispose()
  }

  /** The centroid c in force, float32 [D]. */
  get centroid(): Tensor | undefined {
    return this.centroid_D
  }

  state(): PluginState {
    const { next, size, rows_RD } = this.reservoir.state()
    const fields = {
      anchors: this.anchors_VD,
      centroid: this.centroid_D,
      mean: this.mean_D,
      reservoir: rows_RD,
    }
    const tensors = new Map(
      Object.entries(fields).filter((entry): entry is [string, Tensor] => entry[1] !== undefined),
    )
    return { json: { lastRefresh: this.lastRefresh, reservoirNext: next, reservoirSize: size }, tensors }
  }

  load({ json, tensors }: PluginState): void {
    const take = (name: string) => {
      const found = tensors.get(name)
      return found && scope(() => clone(found)).persist()
    }
    this.lastRefresh = Number(json.lastRefresh)
    for (const [field, name] of [
      ['anchors_VD', 'anchors'],
      ['centroid_D', 'centroid'],
      ['mean_D', 'mean'],
    ] as const) {
      this[field]?.dispose()
      this[field] = take(name)
    }
    this.reservoir.load(Number(json.reservoirNext), Number(json.reservoirSize), tensors.get('reservoir'))
  }

  dispose(): void {
    for (const tensor of [...this.pending, this.anchors_VD, this.centroid_D, this.mean_D]) tensor?.dispose()
    this.pending = []
    this.reservoir.dispose()
  }
}

function cosine(a_D: Tensor, b_D: Tensor): number {
  return scope(() => dotRows(a_D, b_D).item() / Math.max(lengthOf(a_D) * lengthOf(b_D), 1e-12))
}
