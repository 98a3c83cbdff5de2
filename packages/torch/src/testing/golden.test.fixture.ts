import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildInfo, SafetensorsFile, type Tensor } from '../index.js'

/** One reference case on disk; `case.json` says who wrote it and how close one has to come. */
export interface GoldenCase<Values> {
  readonly values: Values
  /** Largest allowed |a - b| / |b| of a whole tensor with this LibTorch. */
  readonly tolerance: number
  /** Belongs to the current scope. */
  tensor(name: string): Tensor
}

interface CaseFile<Values> {
  readonly values: Values
  readonly reference: { readonly name: string; readonly series: string }
  readonly tolerance: { readonly sameVersion: number; readonly otherVersions: number }
}

export function openGolden<Values = undefined>(name: string): GoldenCase<Values> {
  const folder = join(fileURLToPath(new URL('../../golden/', import.meta.url)), name)
  const { values, reference, tolerance } = JSON.parse(
    readFileSync(join(folder, 'case.json'), 'utf8'),
  ) as CaseFile<Values>
  const sameVersion =
    reference.name !== 'PyTorch' || buildInfo().libtorchVersion.startsWith(`${reference.series}.`)
  return {
    values,
    tolerance: sameVersion ? tolerance.sameVersion : tolerance.otherVersions,
    tensor(tensorName) {
      using file = new SafetensorsFile(join(folder, 'tensors.safetensors'))
      return file.read(tensorName)
    },
  }
}
