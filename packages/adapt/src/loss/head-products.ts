/** C positions, D width, V vocabulary. */
import { bind, linear, mm, prefersOnednnLinear, type Tensor } from '@adapt-ts/torch'

const transposed = bind('adapt::transposed')

/** The two products with the output head that the loss of a chunk needs. */
export interface HeadProducts {
  /** h W^T: [C, D] -> [C, V] */
  toLogits(hidden_CD: Tensor): Tensor
  /** r W: [C, V] -> [C, D] */
  toHidden(residual_CV: Tensor): Tensor
}

/**
 * Products with a head [V, D] for one loss. Where `linear` is faster than `mm`, `toHidden` uses it too: it wants its
 * second factor row by row, hence one transposed copy of the head. Belongs to the current scope.
 */
export function headProducts(head_VD: Tensor, { forHidden }: { readonly forHidden: boolean }): HeadProducts {
  const toLogits = (hidden_CD: Tensor) => linear(hidden_CD, head_VD)
  if (!forHidden || !prefersOnednnLinear(head_VD, head_VD)) {
    return { toLogits, toHidden: (residual_CV) => mm(residual_CV, head_VD) }
  }
  const head_DV = transposed(head_VD) as Tensor
  return { toLogits, toHidden: (residual_CV) => linear(residual_CV, head_DV) }
}
