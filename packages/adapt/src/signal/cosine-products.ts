/** S samples, D width. */
import { cat, indexSelect, mm, noGrad, scope, type Tensor, tensor, transpose, zeros } from '@adapt-ts/torch'
import { type Evidence, gatherInOrder, type StepTools } from '../method/index.js'

/**
 * Cosines between all samples with labels of a step, over all micro-batches and ranks, in the order of its scores. All ranks must call it. Belongs
 * to the current scope.
 *
 * @param unitOf  Unit vectors of a micro-batch's samples, float32 [S, D].
 * @returns float32 [S, S]
 */
export function cosineProducts(
  step: readonly Evidence[],
  { collective, device }: Pick<StepTools, 'collective' | 'device'>,
  unitOf: (evidence: Evidence) => Tensor,
): Tensor {
  return noGrad(() =>
    scope(() => {
      const parts = step.map((evidence) => {
        const { samples } = evidence.batch
        const places = [...samples.keys()].filter((i) => samples[i]!.numLabels > 0)
        const place_S = tensor(Int32Array.from(places), [places.length], { dtype: 'int64', device })
        return indexSelect(unitOf(evidence), 0, place_S)
      })
      const gathered = gatherInOrder(parts, collective, { device }).map(({ rows }) => rows)
      const filled = gathered.filter(({ numel }) => numel > 0)
      if (filled.length === 0) return zeros([0, 0], { device })
      const unit_SD = cat(filled)
      return mm(unit_SD, transpose(unit_SD, 0, 1))
    }),
  )
}
