/** B rows, T positions, D width, S samples, V anchors, R rows of the reservoir, G rows of the scorer. */
import { cat, clone, mean, narrow, nn, noGrad, scope, type Tensor, tensor } from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import {
  type Evidence,
  fillOptions,
  gatherInOrder,
  type MethodEvent,
  type Needs,
  type PluginState,
  type RunFacts,
  type Signal,
  type StepFacts,
  type StepOutcome,
  type StepTools,
  type Trust,
  toSnakeCase,
} from '../method/index.js'
import { requireData } from '../method/require-data.js'
import { AnchorScorer, canHalve } from './anchor-scorer.js'
import { cosineProducts } from './cosine-products.js'
import { countTokens, embedAnchors, pickAnchors } from './embed-anchors.js'
import {
  checkModelEmbedding,
  MODEL_EMBEDDING_OPTIONS,
  type ModelEmbeddingOptions,
} from './model-embedding-options.js'
import { poolHidden } from './pool-hidden.js'
import type { PooledScorer } from './pooled-scorer.js'
import { probePlaces, type RefreshReason, upkeepDue } from './refresh-schedule.js'
import { Reservoir } from './reservoir.js'
import { ScoreShrinkage } from './score-shrinkage.js'
import { shuffledIndexes } from './shuffled-indexes.js'
import { cosineOf } from './unit-vectors.js'
import { sourceFigures } from './within-sources.js'

/** The training data, where it is at hand. */
type KnownData = Pick<RunFacts, 'data'>

/** Samples of one micro-batch. */
interface SeenSamples {
  readonly pooled_SD: Tensor
  /** Indexes of their sources, [S]; absent without facts of the data. */
  readonly sources: readonly number[] | undefined
}

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
  private readonly scorer: PooledScorer
  /** rolling: the centroids at the last report. */
  private reported_GD: Tensor | undefined
  private lastRefresh = -1
  /** FLOPs of what was embedded since the last report. */
  private unreportedFlops = 0
  /** Of the running step, by micro-batch. */
  private pending: SeenSamples[] = []
  private readonly shrinkage: ScoreShrinkage | undefined
  private rescored: Float64Array | undefined
  private trusted: Trust | undefined
  /** Dense indexes of the last samples, as many as the scorer's background. */
  private recent: number[] = []
  private readonly events: MethodEvent[] = []

  /** @param createScorer  What scores pooled states. Default: cosines to the anchors. */
  constructor(options: ModelEmbeddingOptions = {}, createScorer?: (reservoir: Reservoir) => PooledScorer) {
    const filled = fillOptions(MODEL_EMBEDDING_OPTIONS, { ...options })
    const { refreshEvery = MODEL_EMBEDDING_OPTIONS.refreshEvery.fallback as number, reservoirSize = 4096 } =
      options
    this.options = { ...filled, refreshEvery, reservoirSize }
    for (const { key, message } of checkModelEmbedding(this.options))
      throw new ConfigError('OUT_OF_RANGE', `signal.${toSnakeCase(key)}: ${message}`)
    this.needs = { anchors: true, ownForward: this.options.scoreEval }
    this.reservoir = new Reservoir(this.options.reservoirSize)
    this.scorer = createScorer?.(this.reservoir) ?? new AnchorScorer(this.options)
    if (this.options.scoreShrinkage === 'within_source') this.shrinkage = new ScoreShrinkage()
  }

  score({ batch, hidden_BTD }: Evidence, { data }: KnownData = {}): Tensor {
    return noGrad(() => {
      const pooled_SD = poolHidden(hidden_BTD, batch, this.options)
      const sources = data && batch.samples.map(({ index }) => data.sourceIndex(index))
      this.pending.push({ pooled_SD: pooled_SD.persist(), sources })
      const score_S = this.scorer.scores(pooled_SD)
      return this.shrinkage && sources ? this.shrinkage.shrink(score_S, sources) : score_S
    })
  }

  /** Cosines of the step's samples, centred as their scores are. */
  interactions(step: readonly Evidence[], facts: StepFacts): Tensor {
    return cosineProducts(step, facts, ({ hidden_BTD, batch }) =>
      scope(() => this.scorer.unit(poolHidden(hidden_BTD, batch, this.options))),
    )
  }

  /**
   * Embeds the anchors, or a part of them, when that is due.
   * @throws {ConfigError} NO_ANCHORS; with shrinkage NEEDS_ANCHORS where they cannot be halved, NEEDS_DATA without facts of the data.
   */
  beforeStep(tools: StepTools & RunFacts): void {
    const { step, anchors } = tools
    const numAnchors = anchors.reduce((sum, { samples }) => sum + samples.length, 0)
    if (numAnchors === 0)
      throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
    if (this.shrinkage) this.requireHalves(tools)
    if (this.recent.length < (this.scorer.background ?? 0)) return
    const upkeep = upkeepDue(
      this.options,
      { sinceLast: this.lastRefresh < 0 ? undefined : step - this.lastRefresh, step },
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

  private requireHalves({ anchors, ...facts }: StepTools & RunFacts): void {
    const name = 'method.signal.score_shrinkage'
    requireData(facts, name)
    const { aggregate } = this.options
    if (canHalve(anchors, aggregate)) return
    const each = aggregate === 'micro' ? '' : ` for each task with aggregate: ${aggregate}`
    const message = `anchors: expected at least two${each}, whose halves ${name} compares, received one`
    throw new ConfigError('NEEDS_ANCHORS', message)
  }

  takeRescored(): Float64Array | undefined {
    const rescored = this.rescored
    this.rescored = undefined
    return rescored
  }

  takeTrust(): Trust | undefined {
    const found = this.trusted
    this.trusted = undefined
    return found
  }

  takeEvents(): readonly MethodEvent[] {
    return this.events.splice(0)
  }

  private refreshAll(
    tools: StepTools & KnownData,
    reason: RefreshReason,
    start: number,
    figures: Readonly<Record<string, number>> = {},
  ): void {
    const { centroid } = this.scorer
    const previous_GD = centroid && clone(centroid).persist()
    this.scorer.setAnchors(
      () => this.embed(tools.anchors, tools),
      tools.anchors,
      () => this.embedRecent(tools),
    )
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
        const mean_D = this.scorer.mean ?? this.reservoir.mean()
        const centroidOf = (rows_PD: Tensor) => mean(nn.unitRows(rows_PD, mean_D), 0)
        const before_PD = cat(places.map((place) => narrow(this.scorer.anchors!, 0, place, 1)))
        const now_PD = this.embed(pickAnchors(tools.anchors, places), tools)
        return 1 - cosineOf(centroidOf(before_PD), centroidOf(now_PD))
      }),
    )
  }

  /** Embeds some anchors again. c is made anew from all of them, O(V D): exact, so no error can build up. */
  private refreshPart(tools: StepTools, start: number, end: number): void {
    if (end === start) return
    const places = Array.from({ length: end - start }, (_, i) => start + i)
    const anchors_VD = this.scorer.anchors!
    const numAnchors = anchors_VD.shape[0]!
    this.scorer.setAnchors(
      () =>
        cat([
          narrow(anchors_VD, 0, 0, start),
          this.embed(pickAnchors(tools.anchors, places), tools),
          narrow(anchors_VD, 0, end, numAnchors - end),
        ]),
      tools.anchors,
    )
  }

  private embed(batches: StepTools['anchors'], tools: StepTools): Tensor {
    const charge = (numTokens: number) => {
      const flops = tools.charge(numTokens)
      this.unreportedFlops += flops
      return flops
    }
    return embedAnchors(batches, { ...tools, charge }, this.options)
  }

  /** Recent training samples under the model as it is now, [N, D] in their order. */
  private embedRecent(tools: StepTools): Tensor {
    const { collective, device, layOut } = tools
    if (layOut === undefined) {
      const message =
        'method.signal.kind: expected a run that can lay samples out again (layOut), received none'
      throw new ConfigError('NEEDS_DATA', message)
    }
    const mine = layOut(this.recent).filter(({ rows }) => rows > 0)
    const [numTokens] = collective.allReduceNumbers([countTokens(mine)]) as [number]
    this.unreportedFlops += tools.charge(numTokens)
    return noGrad(() =>
      scope(() => {
        const pooled = mine.map((batch) =>
          scope(() => poolHidden(tools.look(batch).hidden_BTD, batch, this.options)),
        )
        return cat(gatherInOrder(pooled, collective, { device }).map(({ rows }) => rows))
      }),
    )
  }

  /** Scores what is remembered again and says what the anchors are worth. */
  private report(
    { step, anchors, data }: StepTools & KnownData,
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
    const figures = scope(() => {
      const rows_RD = this.reservoir.rows()
      const ofSources = rows_RD ? this.rescore(rows_RD, anchors, data) : {}
      return { ...this.scorer.diagnostics(anchors, previous_GD, rows_RD), ...ofSources }
    })
    if (this.options.refresh === 'rolling') {
      this.reported_GD?.dispose()
      this.reported_GD = scope(() => clone(this.scorer.centroid!)).persist()
    }
    const numAnchors = this.scorer.anchors!.shape[0]!
    const refreshMs = performance.now() - refresh.start
    const diagnostics = { ...figures, ...refresh.figures }
    const { splitHalfReliability: halves, separationAuc } = figures as Readonly<
      Record<string, number | undefined>
    >
    if (halves !== undefined && separationAuc !== undefined)
      this.trusted = { halves, separation: 2 * separationAuc - 1 }
    this.events.push({ kind: 'refresh', step, fields: { reason, numAnchors, refreshMs, flops, diagnostics } })
  }

  /** Scores remembered samples again, and shrinks from now on as they say. Gives what sources have to do with their scores. */
  private rescore(
    rows_RD: Tensor,
    anchors: StepTools['anchors'],
    data: KnownData['data'],
  ): Readonly<Record<string, number>> {
    const scores = this.scorer.rescore(rows_RD)
    const sources = this.reservoir.sources()
    this.rescored = scores
    if (!sources) return {}
    const figures = sourceFigures(scores, sources, this.scorer.halves(anchors, rows_RD))
    if (!this.shrinkage) return figures
    this.shrinkage.update(scores, sources, figures.withinReliability)
    this.rescored = this.shrinkage.shrinkNumbers(scores, sources)
    return { ...figures, ...this.shrinkage.figures(data?.sources ?? []) }
  }

  /**
   * Remembers the step's samples in global order, and lets the scorer learn from them. Where older scores then mean something else, remembered
   * samples are scored again.
   */
  observe({ wasFinite, samples }: StepOutcome, tools: StepTools & KnownData): void {
    const { anchors, collective, device } = tools
    const seen = this.pending
    this.pending = []
    const isNew =
      wasFinite &&
      scope(() => {
        const gathered = gatherInOrder(
          seen.map(({ pooled_SD }) => pooled_SD),
          collective,
          { device },
        )
        const sources = gatherSources(seen, tools)
        const seen_ND = gathered.length > 1 ? cat(gathered.map(({ rows }) => rows)) : gathered[0]?.rows
        const kept_ND = seen_ND && this.scorer.toRemember ? this.scorer.toRemember(seen_ND) : seen_ND
        if (kept_ND) this.reservoir.push(kept_ND, sources)
        return this.reservoir.size > 0 && this.scorer.learn(seen_ND, this.reservoir, anchors)
      })
    for (const { pooled_SD } of seen) pooled_SD.dispose()
    // Nothing was scored before it, so nothing is known to shrink by.
    if (isNew) this.rescored = scope(() => this.scorer.rescore(this.reservoir.rows()!))
    const { background = 0 } = this.scorer
    if (background > 0 && wasFinite)
      this.recent = [...this.recent, ...shuffledIndexes(samples.index)].slice(-background)
  }

  /** What samples are compared with now: c, float32 [1, D], or the centroid of each task, [K, D]. */
  get centroid(): Tensor | undefined {
    return this.scorer.centroid
  }

  /** Anchors, centroid, mean and remembered samples. */
  state(): PluginState {
    const { next, size, sources, rows_RD } = this.reservoir.state()
    const scorer = this.scorer.state()
    const tensors = new Map(scorer.tensors)
    if (this.reported_GD) tensors.set('reported', this.reported_GD)
    if (rows_RD) tensors.set('reservoir', rows_RD)
    const json = {
      lastRefresh: this.lastRefresh,
      unreportedFlops: this.unreportedFlops,
      reservoirNext: next,
      reservoirSize: size,
      reservoirSources: sources,
      ...(this.shrinkage ? { shrinkage: this.shrinkage.state() } : {}),
      ...(this.scorer.background ? { recent: this.recent } : {}),
      ...scorer.json,
    }
    return { json, tensors }
  }

  load({ json, tensors }: PluginState): void {
    this.lastRefresh = Number(json.lastRefresh)
    this.unreportedFlops = Number(json.unreportedFlops ?? 0)
    this.recent = [...((json.recent as number[] | undefined) ?? [])]
    this.scorer.load({ json, tensors })
    this.reported_GD?.dispose()
    const reported = tensors.get('reported')
    this.reported_GD = reported && scope(() => clone(reported)).persist()
    this.reservoir.load({
      next: Number(json.reservoirNext),
      size: Number(json.reservoirSize),
      sources: json.reservoirSources as readonly number[],
      rows_RD: tensors.get('reservoir'),
    })
    this.shrinkage?.load(json.shrinkage as Readonly<Record<string, unknown>> | undefined)
  }

  dispose(): void {
    for (const { pooled_SD } of this.pending) pooled_SD.dispose()
    this.reported_GD?.dispose()
    this.pending = []
    this.scorer.dispose()
    this.reservoir.dispose()
  }
}

/** Sources of the samples of all ranks, in the order of their vectors; undefined without facts of the data. */
function gatherSources(
  seen: readonly SeenSamples[],
  { collective, data }: StepTools & KnownData,
): readonly number[] | undefined {
  if (data === undefined) return undefined
  if (collective.worldSize === 1) return seen.flatMap(({ sources = [] }) => sources)
  const columns = seen.map(({ sources = [] }) => tensor(Float32Array.from(sources), [sources.length, 1]))
  return gatherInOrder(columns, collective, { device: 'cpu' }).flatMap(({ rows }) => [
    ...rows.toFloat32Array(),
  ])
}
