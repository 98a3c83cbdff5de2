/** P samples of the pool, U those that were scored for a draw. */
import { full } from '@adapt-ts/torch'
import type { Gate, RunFacts, ScoredPool } from '../method/contract.js'
import { EventList } from '../method/event-list.js'
import { requireData } from '../method/require-data.js'
import { KeptNumbers } from '../signal/index.js'
import { drawnPool, drawSchedule, type PoolDrawOptions, scoredPart } from './draw-schedule.js'

/** What of a part of the pool can be weighed: samples with labels whose scores are finite numbers. */
export interface ScoredPart {
  /** Dense indexes, ascending, [U]. */
  readonly index: readonly number[]
  /** [U] */
  readonly score: readonly number[]
  /** Draws since the first one of this run, 0 in that. */
  readonly draw: number
  /** Draws of this run after its first one. */
  readonly later: number
}

/** Weights of a part, in any unit, and what the event log should know of them. */
export interface PoolWeights {
  /** >= 0, [U]. */
  readonly weight_U: Float64Array
  readonly figures: Readonly<Record<string, number>>
}

/** Draws by their numbers in the schedule: what a checkpoint holds beside the weights. */
interface DrawState {
  readonly number: number
  /** Of this run. */
  readonly first: number
}

/**
 * A gate that draws samples without replacement, by weights that follow from the scores of the pool every U steps. Weights of a part are
 * relative to its mean; a sample that is not in it keeps the weight that it had, 1 before its first, so that it is drawn as often as a sample
 * of the mean weight. What is not of the part of the pool that is drawn from has 0. Samples without labels, and those whose score is no finite
 * number, are not drawn until they are scored again.
 *
 * @param options.sameParts  Whether the same part is scored each time; else the parts follow one another round the pool.
 * @param weigh  Weights of a part.
 */
export function createDrawingGate(
  options: PoolDrawOptions & { readonly kind: string; readonly sameParts: boolean },
  facts: RunFacts,
  weigh: (part: ScoredPart) => PoolWeights,
): Gate {
  const { numSamples } = requireData(facts, options.kind)
  const { seed } = facts
  const schedule = drawSchedule(options, facts)
  let state: DrawState | undefined
  const parts = { ...schedule, numSamples, seed }
  let weight_P: Float32Array = new Float32Array(numSamples)
  for (const sample of drawnPool(parts)) weight_P[sample] = 1
  const kept = new KeptNumbers('weight')
  const events = new EventList()
  return {
    weights: ({ score }) => full([score.shape[0]!], 1, { device: score.device }),
    wants(step) {
      const number = schedule.drawAt(step)
      if (number === undefined) return undefined
      return scoredPart(options.sameParts ? 0 : number, parts)
    },
    observePool(pool, { step }) {
      const number = schedule.drawAt(step)!
      const first = state === undefined ? number : Math.min(state.first, number)
      state = { number, first }
      weight_P = weight_P.slice()
      const places = Array.from(pool.index, (_, place) => place).filter((place) => canBeWeighed(pool, place))
      const part = {
        index: places.map((place) => pool.index[place]!),
        score: places.map((place) => pool.score[place]!),
        draw: number - first,
        later: schedule.numDraws - 1 - first,
      }
      const { weight_U, figures } = weigh(part)
      const mean = weight_U.reduce((a, b) => a + b, 0) / weight_U.length
      // A part of which nothing can be weighed says nothing.
      if (mean > 0) {
        for (const sample of Array.from(pool.index)) weight_P[sample] = 0
        for (const [i, sample] of part.index.entries()) weight_P[sample] = weight_U[i]! / mean
      }
      kept.keep(weight_P)
      const scored = { scored: pool.index.length, scoreMean: meanOf(part.score) }
      events.add({ kind: 'draw', step, fields: { draw: number, ...scored, ...figures } })
    },
    draw() {
      return state === undefined ? undefined : { number: state.number, weight_P, replacement: false }
    },
    takeEvents: events.take,
    state: () => ({ json: { ...state }, tensors: kept.tensors }),
    load({ json, tensors }) {
      const saved = kept.load(tensors)
      if (saved === undefined) return
      state = json as unknown as DrawState
      weight_P = saved
    },
    dispose: () => kept[Symbol.dispose](),
  }
}

function canBeWeighed({ labels, score }: ScoredPool, place: number): boolean {
  return labels[place]! > 0 && Number.isFinite(score[place])
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((a, b) => a + b, 0) / values.length
}
