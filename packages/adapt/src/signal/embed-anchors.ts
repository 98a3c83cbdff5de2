/** V anchors, D width. */
import { cat, noGrad, scope, type Tensor } from '@adapt-ts/torch'
import { type Batch, selectSamples } from '../batch/index.js'
import { gatherInOrder, type StepTools } from '../method/index.js'
import { type PoolingOptions, poolHidden } from './pool-hidden.js'

/** Most rows of a batch that is made of picked anchors. */
const BATCH_ROWS = 16

/**
 * Raw pooled vectors of all samples of the batches, in their order: [V, D]. Batches are shared out over the ranks;
 * the cost is charged for all of them. Belongs to the current scope.
 */
export function embedAnchors(
  batches: readonly Batch[],
  tools: Pick<StepTools, 'collective' | 'device' | 'charge' | 'look'>,
  options: PoolingOptions,
): Tensor {
  const { collective, device } = tools
  tools.charge(countTokens(batches))
  return noGrad(() =>
    scope(() => {
      const mine = batches.filter((_, i) => i % collective.worldSize === collective.rank)
      const pooled = mine.map((batch) =>
        scope(() => {
          const { hidden_BTD } = tools.look(batch)
          return poolHidden(hidden_BTD, batch, options)
        }),
      )
      return cat(gatherInOrder(pooled, collective, { device }).map(({ rows }) => rows))
    }),
  )
}

/** The anchors at these places as batches of their own; how they are cut does not depend on the number of ranks. */
export function pickAnchors(anchors: readonly Batch[], places: readonly number[]): Batch[] {
  const picked: Batch[] = []
  for (let start = 0; start < places.length; start += BATCH_ROWS)
    picked.push(selectSamples(anchors, places.slice(start, start + BATCH_ROWS)))
  return picked
}

/** Tokens of all samples, padding not counted. */
export function countTokens(batches: readonly Batch[]): number {
  return batches.flatMap(({ samples }) => samples).reduce((sum, { numTokens }) => sum + numTokens, 0)
}
