/** C positions, D width, V vocabulary. */
import {
  add_,
  addmm_,
  bind,
  linear,
  mm,
  prefersOnednnLinear,
  scope,
  type Tensor,
  transpose,
} from '@adapt-ts/torch'

const transposed = bind('adapt::transposed')
const addProductOverRows_ = bind('adapt::add_product_over_rows_')

/** The products with the output head that the loss of a chunk needs. */
export interface HeadProducts {
  /** h W^T: [C, D] -> [C, V] */
  toLogits(hidden_CD: Tensor): Tensor
  /** r W: [C, V] -> [C, D] */
  toHidden(residual_CV: Tensor): Tensor
  /** g += r^T h: [C, V], [C, D], added to a float32 [V, D]. */
  addToGradient(gradient_VD: Tensor, residual_CV: Tensor, hidden_CD: Tensor): void
}

/**
 * Products with a head [V, D] for one loss. Where `linear` is faster than `mm`, the others go the same way: it is fastest with a second
 * factor row by row, hence one transposed copy of the head for `toHidden`. Belongs to the current scope.
 */
export function headProducts(head_VD: Tensor, { forHidden }: { readonly forHidden: boolean }): HeadProducts {
  const toLogits = (hidden_CD: Tensor) => linear(hidden_CD, head_VD)
  if (!forHidden || !prefersOnednnLinear(head_VD, head_VD)) {
    return { toLogits, toHidden: (residual_CV) => mm(residual_CV, head_VD), addToGradient }
  }
  const head_DV = transposed(head_VD) as Tensor
  return {
    toLogits,
    toHidden: (residual_CV) => linear(residual_CV, head_DV),
    addToGradient(gradient_VD, residual_CV, hidden_CD) {
      scope(() => void addProductOverRows_(gradient_VD, residual_CV, hidden_CD))
    },
  }
}

function addToGradient(gradient_VD: Tensor, residual_CV: Tensor, hidden_CD: Tensor): void {
  scope(() => {
    const residual_VC = transpose(residual_CV, 0, 1)
    if (hidden_CD.dtype === 'float32') addmm_(gradient_VD, residual_VC, hidden_CD)
    else add_(gradient_VD, mm(residual_VC, hidden_CD))
  })
}
