import { cat, reshape, scope, type Tensor } from '@adapt-ts/torch'

/** Values of several floating-point tensors of one device on the host, flat: one copy, so one wait for the device. */
export function readTogether(tensors: readonly Tensor[]): Float32Array[] {
  const sizes = tensors.map(({ numel }) => numel)
  const all =
    tensors.length === 0
      ? new Float32Array(0)
      : scope(() => cat(tensors.map((one, i) => reshape(one, [sizes[i]!]))).toFloat32Array())
  let end = 0
  return sizes.map((size) => {
    end += size
    return all.subarray(end - size, end)
  })
}
