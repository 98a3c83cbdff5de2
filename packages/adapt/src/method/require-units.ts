import type { Tensor } from '@adapt-ts/torch'

/**
 * Another number of values would be broadcast, or read as what the next samples got.
 * @throws {RangeError} unless `values` is a tensor of shape [numUnits].
 */
export function requireUnits(
  part: 'signal' | 'gate',
  values: Tensor,
  numUnits: number,
  unit: 'sample' | 'token' = 'sample',
): Tensor {
  // What is no tensor has no shape, whatever the types say of it.
  const shape = (values as Partial<Tensor> | undefined)?.shape
  if (shape?.length === 1 && shape[0] === numUnits) return values
  const received = shape === undefined ? String(values) : `[${shape.join(', ')}]`
  throw new RangeError(
    `method.${part}: expected one number for each of ${numUnits} ${unit}s, a tensor of shape [${numUnits}], received ${received}`,
  )
}
