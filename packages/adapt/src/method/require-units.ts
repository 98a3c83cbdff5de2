import type { Device, Tensor } from '@adapt-ts/torch'

/**
 * Another number of values would be broadcast, or read as what the next samples got; values elsewhere than the model's meet tensors of
 * another device.
 * @param device  Where the model is.
 * @throws {RangeError} unless `values` is a tensor of shape [numUnits] on `device`.
 */
export function requireUnits(
  part: 'signal' | 'gate',
  values: Tensor,
  numUnits: number,
  device: Device,
  unit: 'sample' | 'token' = 'sample',
): Tensor {
  // What is no tensor has no shape, whatever the types say of it.
  const shape = (values as Partial<Tensor> | undefined)?.shape
  if (shape?.length !== 1 || shape[0] !== numUnits) {
    const received = shape === undefined ? String(values) : `[${shape.join(', ')}]`
    throw new RangeError(
      `method.${part}: expected one number for each of ${numUnits} ${unit}s, a tensor of shape [${numUnits}], received ${received}`,
    )
  }
  if (values.device === device) return values
  throw new RangeError(
    `method.${part}: expected a tensor on ${device}, where the model is, received one on ${values.device}; make it with { device: facts.device }`,
  )
}
