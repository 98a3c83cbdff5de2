/** S samples, V anchors, D width. */
import { mean, nn, reshape, scope, type Tensor, zeros } from '@adapt-ts/torch'
import { ConfigError } from '../errors.js'
import { forwardFlops, numRefreshes } from '../method/flops.js'
import {
  defineSignal,
  type Evidence,
  type MethodEvent,
  type OptionsOf,
  oneOf,
  type PluginState,
  type Signal,
  type StepFacts,
  usedWith,
  whole,
} from '../method/index.js'
import { cosineProducts } from './cosine-products.js'
import { embedAnchors, pickAnchors } from './embed-anchors.js'
import { KeptTensors } from './kept-tensors.js'
import { MODEL_EMBEDDING_OPTIONS } from './model-embedding-options.js'
import { poolHidden } from './pool-hidden.js'
import { cosineOf } from './unit-vectors.js'

const hasTarget: (others: Readonly<Record<string, unknown>>) => boolean = ({ target }) => target !== 'none'

const OPTIONS = {
  pooling: oneOf(
    ['position_weighted', 'mean', 'last'],
    'last',
    'How the hidden states of a sample become one vector.',
  ),
  tokens: oneOf(
    ['all', 'response_only'],
    'all',
    'Tokens that are pooled; response_only: those that predict a label.',
  ),
  target: oneOf(
    ['centroid', 'rotating', 'none'],
    'centroid',
    'centroid: the mean of all anchors; rotating: a few, the next ones at each refresh; none: no target, every score is 0',
  ),
  targetBatch: usedWith(
    'target: rotating',
    ({ target }) => target === 'rotating',
    whole({ min: 1 }, 1, 'Anchors of a rotating target'),
  ),
  refreshEvery: usedWith('a target', hasTarget, {
    ...MODEL_EMBEDDING_OPTIONS.refreshEvery,
    help: 'Optimiser steps between two embeddings of the target, or "epoch".',
  }),
}

type Options = OptionsOf<typeof OPTIONS>

/**
 * Which way the anchors lie, and how alike samples are, in the last hidden states of the model as it is now:
 *
 *   s_i = <u, z_i>,   S_ij = <z_i, z_j>,   z = phi / |phi|,   u = a / |a|,   a = mean of the anchors' phi
 *
 * u is the direction of the mean of pooled states, not of unit vectors, and has length 1.
 */
export class AnchorDirection implements Signal {
  /** u, float32 [D]. */
  private readonly kept = new KeptTensors(['direction'])
  private lastRefresh = -1
  private refreshes = 0
  private readonly events: MethodEvent[] = []

  /** @param refreshEvery  Optimiser steps. */
  constructor(private readonly options: Omit<Options, 'refreshEvery'> & { readonly refreshEvery: number }) {}

  /** @throws {ConfigError} NO_ANCHORS. */
  beforeStep(facts: StepFacts): void {
    const { target, refreshEvery } = this.options
    const { step } = facts
    if (target === 'none' || (this.lastRefresh >= 0 && step - this.lastRefresh < refreshEvery)) return
    const start = performance.now()
    const numAnchors = facts.anchors.reduce((sum, { samples }) => sum + samples.length, 0)
    if (numAnchors === 0)
      throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
    const places = target === 'rotating' ? this.nextPlaces(numAnchors) : undefined
    const batches = places ? pickAnchors(facts.anchors, places) : facts.anchors
    let flops = 0
    const tools = {
      ...facts,
      charge(numTokens: number) {
        flops += facts.charge(numTokens)
        return flops
      },
    }
    const before_D = this.kept.get('direction')
    const diagnostics: Record<string, number> = {}
    this.kept.replace('direction', () => {
      const anchors_VD = embedAnchors(batches, tools, this.options)
      const direction_D = reshape(nn.unitRows(mean(anchors_VD, 0, true)), [-1])
      if (before_D) diagnostics.staleness = 1 - cosineOf(before_D, direction_D)
      return direction_D
    })
    const fields = {
      reason: this.lastRefresh < 0 ? 'start' : 'interval',
      numAnchors: places?.length ?? numAnchors,
      refreshMs: performance.now() - start,
      flops,
      diagnostics,
    }
    this.events.push({ kind: 'refresh', step, fields })
    this.lastRefresh = step
    this.refreshes += 1
  }

  /** The next anchors in their order, around and around. */
  private nextPlaces(numAnchors: number): number[] {
    const count = Math.min(this.options.targetBatch, numAnchors)
    return Array.from({ length: count }, (_, i) => (this.refreshes * count + i) % numAnchors)
  }

  score(evidence: Evidence): Tensor {
    const direction_D = this.kept.get('direction')
    const { length } = evidence.batch.samples
    if (direction_D === undefined) return zeros([length], { device: evidence.hidden_BTD.device })
    return scope(() => nn.dotRows(this.unit(evidence), direction_D))
  }

  interactions(step: readonly Evidence[], facts: StepFacts): Tensor {
    return cosineProducts(step, facts, (evidence) => this.unit(evidence))
  }

  private unit({ hidden_BTD, batch }: Evidence): Tensor {
    return scope(() => nn.unitRows(poolHidden(hidden_BTD, batch, this.options)))
  }

  takeEvents(): readonly MethodEvent[] {
    return this.events.splice(0)
  }

  state(): PluginState {
    const { lastRefresh, refreshes } = this
    return { json: { lastRefresh, refreshes }, tensors: this.kept.state() }
  }

  load({ json, tensors }: PluginState): void {
    this.lastRefresh = Number(json.lastRefresh)
    this.refreshes = Number(json.refreshes)
    this.kept.load(tensors)
  }

  dispose(): void {
    this.kept.dispose()
  }
}

const stepsBetween = (refreshEvery: Options['refreshEvery'], stepsPerEpoch: number): number =>
  refreshEvery === 'epoch' ? Math.max(1, stepsPerEpoch) : refreshEvery

/** {@link AnchorDirection}. */
export const anchorDirection = defineSignal({
  kind: 'anchor-direction',
  about: 'cosine to the direction of the mean anchor, in the last hidden states of the model as it is now',
  unit: 'sample',
  interactions: true,
  options: OPTIONS,
  needs: ({ target }) => (target === 'none' ? {} : { anchors: true }),
  cost({ target, targetBatch, refreshEvery }, { params, steps, stepsPerEpoch, anchors, tokensPerAnchor }) {
    if (target === 'none') return { preparation: 0, signal: 0 }
    const count = target === 'rotating' ? Math.min(targetBatch, anchors) : anchors
    const refreshes = numRefreshes(steps, stepsBetween(refreshEvery, stepsPerEpoch))
    return { preparation: 0, signal: forwardFlops(params, count * tokensPerAnchor * refreshes) }
  },
  create: ({ refreshEvery, ...options }, { stepsPerEpoch }) =>
    new AnchorDirection({ ...options, refreshEvery: stepsBetween(refreshEvery, stepsPerEpoch) }),
})
