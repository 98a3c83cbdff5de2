import { autocastActive } from './autograd.js'
import { hasOperator } from './dispatch.js'
import { rethrow } from './errors.js'
import { engine } from './native.js'
import { Tensor } from './tensor.js'

let available: boolean | undefined

/**
 * Whether x W^T runs on oneDNN: float32 on the CPU, outside autocast, where LibTorch has its linear (2.x on x86).
 * Its own float32 default, MKL, takes a slow path on processors that are not Intel's.
 */
export function prefersOnednnLinear(x: Tensor, weight: Tensor): boolean {
  available ??= hasOperator('mkldnn::_linear_pointwise')
  return available && !autocastActive() && isFloat32OnCpu(x) && isFloat32OnCpu(weight)
}

function isFloat32OnCpu(tensor: Tensor): boolean {
  return tensor.dtype === 'float32' && tensor.device === 'cpu'
}

/** x W^T: [..., K], [N, K] -> [..., N], recorded for backward as usual. */
export function onednnLinear(x: Tensor, weight: Tensor): Tensor {
  try {
    return new Tensor(engine().native.onednnLinear(x.handle, weight.handle))
  } catch (error) {
    return rethrow(error, `linear(${x}, ${weight})`)
  }
}
