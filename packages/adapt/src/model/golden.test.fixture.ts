import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildInfo, SafetensorsFile, scope } from '@adapt-ts/torch'

/** One reference case on disk; `case.json` says who wrote it and how close one has to come. */
export interface GoldenCase<Values> {
  readonly values: Values
  /** Largest allowed |a - b| / |b| per tensor with this LibTorch. */
  readonly tolerance: number
  readonly modelFolder: string
  shape(name: string): number[]
  floats(name: string, file?: string): Float32Array
  ids(name: string): Int32Array
  /** Every tensor whose name begins with `prefix`, without it. */
  all(prefix: string, file?: string): Map<string, Float32Array>
}

interface CaseFile<Values> {
  readonly model: string
  readonly values: Values
  readonly reference: { readonly series: string }
  readonly tolerance: { readonly sameVersion: number; readonly otherVersions: number }
}

export function openGolden<Values>(name: string): GoldenCase<Values> {
  const folder = join(fileURLToPath(new URL('../../golden/', import.meta.url)), name)
  const json = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) as CaseFile<Values>
  const sameVersion = buildInfo().libtorchVersion.startsWith(`${json.reference.series}.`)
  const read = <T>(fileName: string, fn: (file: SafetensorsFile) => T): T => {
    using file = new SafetensorsFile(join(folder, fileName))
    return scope(() => fn(file))
  }
  const main = 'tensors.safetensors'
  return {
    values: json.values,
    tolerance: sameVersion ? json.tolerance.sameVersion : json.tolerance.otherVersions,
    modelFolder: join(folder, json.model),
    shape: (tensor) => read(main, (file) => [...file.entry(tensor)!.shape]),
    floats: (tensor, file = main) => read(file, (opened) => opened.read(tensor).toFloat32Array()),
    ids: (tensor) => read(main, (file) => file.read(tensor).toInt32Array()),
    all: (prefix, file = main) =>
      read(file, (opened) => {
        const names = opened.names.filter((tensor) => tensor.startsWith(prefix))
        return new Map(
          names.map((tensor) => [tensor.slice(prefix.length), opened.read(tensor).toFloat32Array()]),
        )
      }),
  }
}

/** Rows of one sample each, with labels as the reference wrote them. */
export function batchOfArrays(tokens_BT: Int32Array, labels_BT: Int32Array, rows: number) {
  const length = tokens_BT.length / rows
  const rowOf = (i: number) => Math.floor(i / length)
  return {
    rows,
    length,
    tokens_BT,
    labels_BT,
    segment_BT: Int32Array.from(tokens_BT, (_, i) => rowOf(i)),
    position_BT: Int32Array.from(tokens_BT, (_, i) => i % length),
    samples: Array.from({ length: rows }, (_, b) => ({
      index: b,
      id: `row-${b}`,
      source: 'golden',
      weight: 1,
      numTokens: length,
      numLabels: labels_BT.filter((label, i) => rowOf(i) === b && label >= 0).length,
    })),
  }
}
