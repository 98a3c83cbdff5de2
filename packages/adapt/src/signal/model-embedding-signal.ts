/** B rows, T positions, D width, S samples, V anchors, R rows of the reservoir, G rows of the scorer. */
import { add, cat, clone, mean, mul, narrow, noGrad, scope, sub, type Tensor, zeros } from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import {
  type Evidence,
  gatherInOrder,
  type MethodEvent,
  type Needs,
  type PluginState,
  type Signal,
  type StepOutcome,
  type StepTools,
} from '../method/index.js'
import { type AggregateOptions, scorerOf, scoreUnits, taskScores } from './aggregate-scores.js'
import { anchorDiagnostics } from './anchor-diagnostics.js'
import { anchorTasks, asOneTask, taskCentroids } from './anchor-tasks.js'
import { embedAnchors, pickAnchors } from './embed-anchors.js'
import type { ModelEmbeddingOptions } from './model-embedding-options.js'
import { poolHidden } from './pool-hidden.js'
import { probePlaces, type RefreshReason, upkeepDue } from './refresh-schedule.js'
import { Reservoir } from './reservoir.js'
import { TaskMoments } from './task-moments.js'
import { cosineOf, unitRows } from './unit-vectors.js'

/**
 * ADAPT's signal: how close the model itself, at this moment, finds a sample to the anchors.
 *
 *   s(x) = (1/V) sum_v cos(phi(x), phi(v)) = <phi(x)/|phi(x)|, c>,   c = (1/V) sum_v phi(v)/|phi(v)|
 *
 * phi is the pooled last hidden state of the current model. c is a mean of unit vectors and is not normalised
 * again, so one dot product a sample is exact whatever the number of anchors. With `center` the mean of the
 * samples seen lately is subtracted from every phi first, which removes what all texts share; until a first step
 * has been seen every score is then 0. With several tasks `aggregate` says how their centroids give one score.
 *
 * @see arXiv 2605.05227. Deviation: centring, aggregates but `micro`, adaptive and rolling refresh are ours.
 */
export class ModelEmbeddingSignal implements Signal {
  readonly needs: Needs
  private readonly options: Required<ModelEmbeddingOptions>
  private readonly reservoir: Reservoir
  private readonly moments = new TaskMoments()
  /** Raw pooled anchors, so that c can be made again when the mean moves. */
  private anchors_VD: Tensor | undefined
  private scorer_GD: Tensor | undefined
  /** rolling: the scorer at the last report. */
  private reported_GD: Tensor | undefined
  private mean_D: Tensor | undefined
  private lastRefresh = -1
  /** FLOPs of what was embedded since the last report. */
  private unreportedFlops = 0
  /** Pooled vectors of the running step by micro-batch. */
  private pending: Tensor[] = []
  private rescored: Float64Array | undefined
  private readonly events: MethodEvent[] = []

  constructor(options: ModelEmbeddingOptions = {}) {
    this.options = {
      pooling: 'position_weighted',
      tokens: 'all',
      refresh: 'interval',
      refreshEvery: 50,
      probeEvery: 25,
      drift: 0.01,
      refreshMin: 25,
      refreshMax: 1000,
      aggregate: 'micro',
      lseBeta: 10,
      center: false,
      centroidEma: 1,
      scoreEval: false,
      reservoirSize: 4096,
      ...options,
    }
    if (this.options.centroidEma < 1 && (this.options.center || this.options.refresh === 'rolling')) {
      throw new ConfigError(
        'OUT_OF_RANGE',
        'signal.centroid_ema: expected 1 with center: true or refresh: rolling, where the centroid is rebuilt at every step',
      )
    }
    this.needs = { anchors: true, ownForward: this.options.scoreEval }
    this.reservoir = new Reservoir(this.options.reservoirSize)
  }

  score({ batch, hidden_BTD }: Evidence): Tensor {
    return noGrad(() => {
      const pooled_SD = poolHidden(hidden_BTD, batch, this.options, hidden_BTD.device)
      this.pending.push(clone(pooled_SD).persist())
      return this.scoreRows(pooled_SD)
    })
  }

  /** Scores of pooled vectors [N, D] under the centroids and mean in force: float32 [N]. */
  private scoreRows(pooled_ND: Tensor): Tensor {
    const scorer_GD = this.scorer_GD
    if (!scorer_GD)
      throw new ConfigError('NO_ANCHORS', 'the anchors were not embedded before the first score')
    if (this.options.center && !this.mean_D) return zeros([pooled_ND.shape[0]!], { device: pooled_ND.device })
    return scope(() => scoreUnits(this.unit(pooled_ND), scorer_GD, this.aggregation))
  }

  /** Unit vectors of pooled ones, after centring when that is asked for and a mean is known. */
  private unit(pooled_ND: Tensor): Tensor {
    const { mean_D } = this
    return scope(() => unitRows(this.options.center && mean_D ? sub(pooled_ND, mean_D) : pooled_ND))
  }

  private get aggregation(): AggregateOptions {
    const { aggregate, lseBeta } = this.options
    return { aggregate, lseBeta, moments: this.moments }
  }

  /**
   * Embeds the anchors, or a part of them, when that is due.
   * @throws {ConfigError} NO_ANCHORS.
   */
  beforeStep(tools: StepTools): void {
    const { step, anchors } = tools
    const numAnchors = anchors.reduce((sum, { samples }) => sum + samples.length, 0)
    if (numAnchors === 0)
      throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
    const upkeep = upkeepDue(
      this.options,
      this.lastRefresh < 0 ? undefined : step - this.lastRefresh,
      numAnchors,
    )
    const start = performance.now()
    switch (upkeep.kind) {
      case 'none':
        return
      case 'all':
        this.refreshAll(tools, upkeep.reason, start)
        return
      case 'probe': {
        const probeDrift = this.probe(tools, numAnchors)
        if (probeDrift > this.options.drift) this.refreshAll(tools, 'drift', start, { probeDrift })
        return
      }
      case 'part':
        this.refreshPart(tools, upkeep.start, upkeep.end)
        if (upkeep.endsRound) this.report(tools, { reason: 'rolling', start, previous_GD: this.reported_GD })
    }
  }

  takeRescored(): Float64Array | undefined {
    const { rescored } = this
    this.rescored = undefined
    return rescored
  }

  takeEvents(): readonly MethodEvent[] {
    return this.events.splice(0)
  }

  private refreshAll(
    tools: StepTools,
    reason: RefreshReason,
    start: number,
    figures: Readonly<Record<string, number>> = {},
  ): void {
    const previous_GD = this.scorer_GD && clone(this.scorer_GD).persist()
    this.replace('anchors_VD', () => this.embed(tools.anchors, tools))
    this.rebuildScorer(tools.anchors, previous_GD)
    this.report(tools, { reason, start, previous_GD, figures })
    previous_GD?.dispose()
  }

  /**
   * 1 - cos between the probe's centroid now and as it was when its anchors were embedded last. Both are centred on
   * what the model makes of recent samples now; else the mean that all texts share would hide the change.
   */
  private probe(tools: StepTools, numAnchors: number): number {
    const places = probePlaces(numAnchors)
    return noGrad(() =>
      scope(() => {
        const mean_D = this.mean_D ?? this.reservoir.mean()
        const centroidOf = (rows_PD: Tensor) => mean(unitRows(mean_D ? sub(rows_PD, mean_D) : rows_PD), 0)
        const before_PD = cat(places.map((place) => narrow(this.anchors_VD!, 0, place, 1)))
        const now_PD = this.embed(pickAnchors(tools.anchors, places), tools)
        return 1 - cosineOf(centroidOf(before_PD), centroidOf(now_PD))
      }),
    )
  }

  /** Embeds some anchors again. c is made anew from all of them, O(V D): exact, so no error can build up. */
  private refreshPart(tools: StepTools, start: number, end: number): void {
    if (end === start) return
    const places = Array.from({ length: end - start }, (_, i) => start + i)
    const numAnchors = this.anchors_VD!.shape[0]!
    this.replace('anchors_VD', () =>
      noGrad(() =>
        scope(() =>
          cat([
            narrow(this.anchors_VD!, 0, 0, start),
            this.embed(pickAnchors(tools.anchors, places), tools),
            narrow(this.anchors_VD!, 0, end, numAnchors - end),
          ]),
        ),
      ),
    )
    this.rebuildScorer(tools.anchors)
  }

  private embed(batches: StepTools['anchors'], tools: StepTools): Tensor {
    const charge = (numTokens: number) => {
      const flops = tools.charge(numTokens)
      this.unreportedFlops += flops
      return flops
    }
    return embedAnchors(batches, { ...tools, charge }, this.options)
  }

  /** Scores what is remembered again and says what the anchors are worth. */
  private report(
    { step, anchors }: StepTools,
    refresh: {
      readonly reason: RefreshReason
      /** When the refresh began, in ms. */
      readonly start: number
      readonly previous_GD: Tensor | undefined
      readonly figures?: Readonly<Record<string, number>>
    },
  ): void {
    const { reason, previous_GD } = refresh
    const flops = this.unreportedFlops
    this.unreportedFlops = 0
    this.lastRefresh = step
    const figures = noGrad(() =>
      scope(() => {
        const rows_RD = this.reservoir.rows()
        const training_RD = rows_RD && this.unit(rows_RD)
        if (training_RD) {
          this.restartMoments(training_RD)
          this.rescored = scoreUnits(training_RD, this.scorer_GD!, this.aggregation).toFloat64Array()
        }
        return anchorDiagnostics({
          unit_VD: this.unit(this.anchors_VD!),
          tasks: anchorTasks(anchors),
          aggregate: this.aggregation,
          scorer_GD: this.scorer_GD!,
          previous_GD,
          training_RD,
        })
      }),
    )
    if (this.options.refresh === 'rolling') this.replace('reported_GD', () => clone(this.scorer_GD!))
    const numAnchors = this.anchors_VD!.shape[0]!
    const refreshMs = performance.now() - refresh.start
    const diagnostics = { ...figures, ...refresh.figures }
    this.events.push({ kind: 'refresh', step, fields: { reason, numAnchors, refreshMs, flops, diagnostics } })
  }

  /** What samples are compared with, from the raw anchors and the mean in force; with an EMA, mixed with the old. */
  private rebuildScorer(anchors: StepTools['anchors'], previous_GD?: Tensor): void {
    const { centroidEma, aggregate } = this.options
    const tasks = anchorTasks(anchors)
    this.replace('scorer_GD', () =>
      noGrad(() =>
        scope(() => {
          const groups = aggregate === 'micro' ? asOneTask(tasks) : tasks
          const fresh_GD = scorerOf(taskCentroids(this.unit(this.anchors_VD!), groups), aggregate)
          return previous_GD && centroidEma < 1
            ? add(mul(previous_GD, 1 - centroidEma), mul(fresh_GD, centroidEma))
            : fresh_GD
        }),
      ),
    )
  }

  /**
   * Remembers the step's samples in global order; a centring mean follows, and c with it. The first mean, and the
   * first moments of `zmax`, give the samples that had to be scored without them, all 0, their real scores.
   */
  observe({ wasFinite }: StepOutcome, { anchors, collective }: StepTools): void {
    const seen = this.pending
    this.pending = []
    const { center, aggregate } = this.options
    const wasBlind = (center && !this.mean_D) || (aggregate === 'zmax' && this.moments.isEmpty)
    if (wasFinite) {
      scope(() => {
        const gathered = gatherInOrder(seen, collective)
        for (const { rows } of gathered) this.reservoir.push(rows)
        if (aggregate !== 'zmax' || gathered.length === 0) return
        const unit_ND = this.unit(cat(gathered.map(({ rows }) => rows)))
        this.moments.add(taskScores(unit_ND, this.scorer_GD!).toFloat64Array(), this.scorer_GD!.shape[0]!)
      })
    }
    for (const pooled of seen) pooled.dispose()
    if (!wasFinite || this.reservoir.size === 0) return
    if (center) {
      this.replace('mean_D', () => this.reservoir.mean()!)
      this.rebuildScorer(anchors)
    }
    if (wasBlind) this.rescored = this.rescoreReservoir()
  }

  /** Scores of the remembered samples as they are now; those of the tasks start anew. */
  private rescoreReservoir(): Float64Array {
    return noGrad(() =>
      scope(() => {
        const training_RD = this.unit(this.reservoir.rows()!)
        this.restartMoments(training_RD)
        return scoreUnits(training_RD, this.scorer_GD!, this.aggregation).toFloat64Array()
      }),
    )
  }

  /** The scores of the tasks that `zmax` compares with are those of these samples [R, D] alone. */
  private restartMoments(training_RD: Tensor): void {
    if (this.options.aggregate !== 'zmax') return
    const scorer_GD = this.scorer_GD!
    this.moments.replace(taskScores(training_RD, scorer_GD).toFloat64Array(), scorer_GD.shape[0]!)
  }

  private replace(field: 'anchors_VD' | 'scorer_GD' | 'reported_GD' | 'mean_D', make: () => Tensor): void {
    const old = this[field]
    this[field] = make().persist()
    old?.dispose()
  }

  /** What samples are compared with now: c, float32 [1, D], or the centroid of each task, [K, D]. */
  get centroid(): Tensor | undefined {
    return this.scorer_GD
  }

  /** Anchors, centroid, mean and remembered samples. */
  state(): PluginState {
    const { next, size, rows_RD } = this.reservoir.state()
    const fields = {
      anchors: this.anchors_VD,
      centroid: this.scorer_GD,
      reported: this.reported_GD,
      mean: this.mean_D,
      reservoir: rows_RD,
    }
    const tensors = new Map(
      Object.entries(fields).filter((entry): entry is [string, Tensor] => entry[1] !== undefined),
    )
    const json = {
      lastRefresh: this.lastRefresh,
      unreportedFlops: this.unreportedFlops,
      reservoirNext: next,
      reservoirSize: size,
      moments: this.moments.state(),
    }
    return { json, tensors }
  }

  load({ json, tensors }: PluginState): void {
    const take = (name: string) => {
      const found = tensors.get(name)
      return found && scope(() => clone(found)).persist()
    }
    this.lastRefresh = Number(json.lastRefresh)
    this.unreportedFlops = Number(json.unreportedFlops ?? 0)
    this.moments.load(json.moments as Readonly<Record<string, unknown>>)
    for (const [field, name] of [
      ['anchors_VD', 'anchors'],
      ['scorer_GD', 'centroid'],
      ['reported_GD', 'reported'],
      ['mean_D', 'mean'],
    ] as const) {
      this[field]?.dispose()
      this[field] = take(name)
    }
    this.reservoir.load(Number(json.reservoirNext), Number(json.reservoirSize), tensors.get('reservoir'))
  }

  dispose(): void {
    const { anchors_VD, scorer_GD, reported_GD, mean_D } = this
    for (const tensor of [...this.pending, anchors_VD, scorer_GD, reported_GD, mean_D]) tensor?.dispose()
    this.pending = []
    this.reservoir.dispose()
  }
}
