/** C positions, D width, V vocabulary. */
import { bind, contiguous, type DType, hasOperator, mm, type Tensor, transpose } from '@adapt-ts/torch'

/** The two products with the output head that the loss of a chunk needs. */
export interface HeadProducts {
  /** h W^T: [C, D] -> [C, V] */
  toLogits(hidden_CD: Tensor): Tensor
  /** r W: [C, V] -> [C, D]; only with `forHidden`. */
  toHidden(residual_CV: Tensor): Tensor
}

const onednnLinear = bind('mkldnn::_linear_pointwise')
let hasOnednnLinear: boolean | undefined

/**
 * Products with a head [V, D] outside autograd. LibTorch 2 on x86 multiplies float32 with MKL, which takes a slow
 * path on processors that are not Intel's; its oneDNN linear does not. It has no backward, so only a gradient in
 * closed form can use it. It wants the second factor row by row, hence one transposed copy of the head, which
 * belongs to the current scope.
 */
export function headProducts(
  head_VD: Tensor,
  { dtype, forHidden }: { readonly dtype: DType; readonly forHidden: boolean },
): HeadProducts {
  hasOnednnLinear ??= hasOperator('mkldnn::_linear_pointwise')
  if (hasOnednnLinear && dtype === 'float32' && head_VD.device === 'cpu') {
    const linear = (x: Tensor, weight: Tensor) => onednnLinear(x, weight, null, 'none', [], '') as Tensor
    const head_DV = forHidden ? contiguous(transpose(head_VD, 0, 1)) : undefined
    return {
      toLogits: (hidden_CD) => linear(hidden_CD, head_VD),
      toHidden: (residual_CV) => linear(residual_CV, head_DV!),
    }
  }
  const head_DV = transpose(head_VD, 0, 1)
  return {
    toLogits: (hidden_CD) => mm(hidden_CD, head_DV),
    toHidden: (residual_CV) => mm(residual_CV, head_VD),
  }
}
