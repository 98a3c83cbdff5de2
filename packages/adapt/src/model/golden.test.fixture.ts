import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildInfo, SafetensorsFile, scope } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'

/** Tensors of one safetensors file, read when asked for. */
export interface TensorFile {
  shape(name: string): number[]
  floats(name: string): Float32Array
  ids(name: string): Int32Array
  /** Every tensor whose name begins with `prefix`, without it. */
  all(prefix: string): Map<string, Float32Array>
}

export function openTensors(path: string): TensorFile {
  const read = <T>(fn: (file: SafetensorsFile) => T): T => {
    using file = new SafetensorsFile(path)
    return scope(() => fn(file))
  }
  return {
    shape: (name) => read((file) => [...file.entry(name)!.shape]),
    floats: (name) => read((file) => file.read(name).toFloat32Array()),
    ids: (name) => read((file) => file.read(name).toInt32Array()),
    all: (prefix) =>
      read((file) => {
        const names = file.names.filter((name) => name.startsWith(prefix))
        return new Map(names.map((name) => [name.slice(prefix.length), file.read(name).toFloat32Array()]))
      }),
  }
}

/** One reference case on disk; `case.json` says who wrote it and how close one has to come. */
export interface GoldenCase<Values> extends TensorFile {
  readonly values: Values
  /** Largest allowed |a - b| / |b| per tensor with this LibTorch. */
  readonly tolerance: number
  readonly modelFolder: string
  /** A file or folder of the case. */
  path(name: string): string
  /** Another file of tensors than `tensors.safetensors`. */
  file(name: string): TensorFile
}

interface CaseFile<Values> {
  readonly model?: string
  readonly values: Values
  readonly reference: { readonly series: string }
  readonly tolerance: { readonly sameVersion: number; readonly otherVersions: number }
}

export function openGolden<Values>(name: string): GoldenCase<Values> {
  const folder = join(fileURLToPath(new URL('../../golden/', import.meta.url)), name)
  const json = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) as CaseFile<Values>
  const sameVersion = buildInfo().libtorchVersion.startsWith(`${json.reference.series}.`)
  return {
    ...openTensors(join(folder, 'tensors.safetensors')),
    values: json.values,
    tolerance: sameVersion ? json.tolerance.sameVersion : json.tolerance.otherVersions,
    modelFolder: join(folder, json.model ?? '.'),
    path: (file) => join(folder, file),
    file: (file) => openTensors(join(folder, file)),
  }
}

type FlatArrays = 'tokens_BT' | 'labels_BT' | 'segment_BT' | 'position_BT'
/** A batch as the values of a case hold it. */
export type BatchJson = Omit<Batch, FlatArrays> & Readonly<Record<FlatArrays, number[]>>

export const batchOfJson = (json: BatchJson): Batch => ({
  ...json,
  tokens_BT: Int32Array.from(json.tokens_BT),
  labels_BT: Int32Array.from(json.labels_BT),
  segment_BT: Int32Array.from(json.segment_BT),
  position_BT: Int32Array.from(json.position_BT),
})

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

/** How the same three samples are laid out in a case of `case_architectures.py` or `case_lora.py`. */
export const LAYOUTS = ['right', 'left', 'packed'] as const

/** The batch of one layout: rows padded on a side, or one packed row. */
export function layoutBatch(golden: TensorFile, layout: (typeof LAYOUTS)[number]): Batch {
  const [rows, length] = golden.shape(`${layout}.tokens_BT`) as [number, number]
  const ids = (name: string) => golden.ids(`${layout}.${name}_BT`)
  const [labels_BT, segment_BT] = [ids('labels'), ids('segment')]
  const count = (segment: number, counts: (i: number) => boolean) =>
    segment_BT.filter((other, i) => other === segment && counts(i)).length
  return {
    rows,
    length,
    tokens_BT: ids('tokens'),
    labels_BT,
    segment_BT,
    position_BT: ids('position'),
    samples: Array.from({ length: Math.max(...segment_BT) + 1 }, (_, segment) => ({
      index: segment,
      id: `sample-${segment}`,
      source: 'golden',
      weight: 1,
      numTokens: count(segment, () => true),
      numLabels: count(segment, (i) => labels_BT[i]! >= 0),
    })),
  }
}

/** Values [B, T, width] of a layout in the order of the packed row, without those of padding. */
export function withoutPadding(values: Float32Array, { segment_BT }: Batch): Float32Array {
  const width = values.length / segment_BT.length
  const places = [...segment_BT.keys()].filter((i) => segment_BT[i] !== -1)
  return Float32Array.from(places.flatMap((i) => [...values.subarray(i * width, (i + 1) * width)]))
}
