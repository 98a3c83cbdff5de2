/** U units and S samples of a micro-batch, N labelled positions. */
import {
  type Collective,
  cat,
  indexCopy_,
  indexSelect,
  narrow,
  reshape,
  type Tensor,
  tensor,
  zeros,
} from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import type { RunFacts, Scores, StepFacts } from './contract.js'
import { gatherInOrder } from './gather-in-order.js'

const SPLIT = 2 ** 16

/** What the units of a micro-batch are: which of its samples each belongs to, and how many labels it stands for. */
export interface BatchUnits {
  readonly batch: Batch
  /** Sample within the micro-batch of each unit, [U]. */
  readonly sampleOf: ArrayLike<number>
  /** Labels of each unit, [U]. */
  readonly labels: Float64Array
}

/** The samples of a micro-batch as units. */
export const sampleUnits = (batch: Batch): BatchUnits => ({
  batch,
  sampleOf: Int32Array.from(batch.samples, (_, i) => i),
  labels: Float64Array.from(batch.samples, ({ numLabels }) => numLabels),
})

/** The labelled positions of a micro-batch as units. */
export const tokenUnits = (batch: Batch, sampleOf_N: Int32Array): BatchUnits => ({
  batch,
  sampleOf: sampleOf_N,
  labels: new Float64Array(sampleOf_N.length).fill(1),
})

/** Scores with what a gate may know of their units. Sources are looked up when they are asked for. */
export function scoresOf(
  score: Tensor,
  index: readonly number[],
  labels: Float64Array,
  { data }: RunFacts,
  interactions?: Tensor,
): Scores {
  return {
    score,
    index,
    labels,
    get source() {
      if (data === undefined) {
        throw new ConfigError(
          'NEEDS_DATA',
          'method.gate: expected the training data to be at hand, for the sources of samples, received none',
        )
      }
      return Uint16Array.from(index, (sample) => data.sourceIndex(sample))
    },
    ...(interactions === undefined ? {} : { interactions }),
  }
}

/** Scores of one micro-batch for a gate that looks at each alone. */
export function batchScores(score: Tensor, units: BatchUnits, facts: RunFacts): Scores {
  return scoresOf(score, indexesOf(units), units.labels, facts)
}

/** Dense index of the sample of each unit. */
const indexesOf = ({ batch, sampleOf }: BatchUnits): number[] =>
  Array.from(sampleOf, (sample) => batch.samples[sample]!.index)

/** The scores of all micro-batches of all ranks, in global order, and the way back. */
export interface GatheredScores {
  readonly scores: Scores
  /** This rank's part of values [U of the step], by micro-batch: [U], 0 where a unit has no label. */
  ownParts(values: Tensor): Tensor[]
}

/**
 * Brings the scores of a step together; units without labels are left out. Every rank must call it, with any number of micro-batches.
 * Belongs to the current scope.
 *
 * @param parts  float32 [U] of each of this rank's micro-batches.
 */
export function gatherScores(
  parts: readonly Tensor[],
  units: readonly BatchUnits[],
  facts: StepFacts,
): GatheredScores {
  const { collective } = facts
  const labelled = units.map(({ labels }) =>
    Int32Array.from([...labels.keys()].filter((place) => labels[place]! > 0)),
  )
  const placesOn = (places: Int32Array, device: Tensor['device']) =>
    tensor(places, [places.length], { dtype: 'int64', device })
  const mine = parts.map((part, a) => indexSelect(part, 0, placesOn(labelled[a]!, part.device)))
  const gathered = gatherInOrder(mine, collective, { device: facts.device })
  const facts_U = gatherUnits(
    units.map((unit, a) => {
      const index = indexesOf(unit)
      return Array.from(labelled[a]!, (place) => ({ index: index[place]!, labels: unit.labels[place]! }))
    }),
    collective,
  )
  const score =
    gathered.length === 0
      ? zeros([0], { device: facts.device })
      : cat(gathered.map(({ rows }) => reshape(rows, [rows.shape[0]!])))
  return {
    scores: scoresOf(
      score,
      facts_U.map(({ index }) => index),
      Float64Array.from(facts_U, ({ labels }) => labels),
      facts,
    ),
    ownParts(values) {
      const own = units.map(({ labels }) => zeros([labels.length], { device: values.device }))
      let start = 0
      for (const { rank, index, rows } of gathered) {
        const length = rows.shape[0]!
        if (rank === collective.rank) {
          const place = placesOn(labelled[index]!, values.device)
          indexCopy_(own[index]!, 0, place, narrow(values, 0, start, length))
        }
        start += length
      }
      return own
    },
  }
}

interface UnitFacts {
  readonly index: number
  readonly labels: number
}

/** What is known of all ranks' units, in the order of their scores. */
function gatherUnits(mine: readonly (readonly UnitFacts[])[], collective: Collective): UnitFacts[] {
  if (collective.worldSize === 1) return mine.flat()
  // An index in two parts, because float32 is exact up to 2^24 only.
  const parts = mine.map((list) =>
    tensor(
      Float32Array.from(
        list.flatMap(({ index, labels }) => [Math.floor(index / SPLIT), index % SPLIT, labels]),
      ),
      [list.length, 3],
    ),
  )
  return gatherInOrder(parts, collective, { device: 'cpu' }).flatMap(({ rows }) => {
    const values = rows.toFloat32Array()
    return Array.from({ length: rows.shape[0]! }, (_, i) => ({
      index: values[3 * i]! * SPLIT + values[3 * i + 1]!,
      labels: values[3 * i + 2]!,
    }))
  })
}
