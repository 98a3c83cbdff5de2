import { closeSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { RunConfig } from '../config/index.js'
import { printable, readRecords } from '../dataset/index.js'
import { syncPath } from '../dataset/sync-path.js'
import { writeFully } from '../dataset/write-fully.js'
import { DataError, ResourceError } from '../errors.js'
import type { RunInputs } from '../open/index.js'
import type { PoolScores } from '../record/index.js'

/** Keys that are added to records where scores are asked for. */
export const SCORE_KEYS = ['adapt_source', 'adapt_score', 'adapt_weight'] as const

/** Bytes that are written at once. */
const BLOCK_BYTES = 1 << 20

interface DocumentScore {
  readonly place: string
  readonly source: string
  isKept: boolean
  labels: number
  scoreSum: number
  weightSum: number
}

/**
 * Writes the records that a method keeps as they stand in their files, one JSON object a line, in the order of the data. A record of which
 * several samples were made is kept when one of them is; its score and weight are the means over the labels of all.
 *
 * @param withScores  Add {@link SCORE_KEYS} to each.
 * @returns the number of records written.
 * @throws {DataError} DATA_CHANGED when the files are no longer what was scored, KEY_TAKEN. @throws {ResourceError} SCORES_WRITE.
 */
export async function writeKept(
  path: string,
  { config, inputs, scores, withScores }: KeptRequest,
): Promise<number> {
  const documents = scoreDocuments(inputs.train, scores)
  const temporary = `${path}.tmp`
  const guard = <T>(action: () => T): T => {
    try {
      return action()
    } catch (error) {
      if (!(error instanceof Error && 'syscall' in error)) throw error
      const message = `--out: cannot write ${printable(path)} (${error.message})`
      throw new ResourceError('SCORES_WRITE', message, { path }, { cause: error })
    }
  }
  const descriptor = guard(() => openSync(temporary, 'w'))
  let isWhole = false
  let numWritten = 0
  try {
    let number = 0
    let seen = 0
    let lines: string[] = []
    let size = 0
    const flush = () => {
      guard(() => writeFully(descriptor, Buffer.from(lines.join(''))))
      lines = []
      size = 0
    }
    const { max_bad_records: maxBadRecords } = config.data
    for await (const record of readRecords(inputs.trainFiles, { maxBadRecords })) {
      const { path: file, line } = record.document
      const found = documents.get(number++)
      if (found === undefined) continue
      if (found.place !== `${file}:${line}`) throw dataChanged(found.place)
      seen += 1
      if (!found.isKept) continue
      const text = withScores ? addScores(record.json(), found) : record.json()
      lines.push(`${text}\n`)
      size += text.length
      numWritten += 1
      if (size > BLOCK_BYTES) flush()
    }
    if (seen < documents.size) throw dataChanged(`${documents.size - seen} records`)
    flush()
    guard(() => syncPath(temporary))
    isWhole = true
  } finally {
    closeSync(descriptor)
    if (!isWhole) rmSync(temporary, { force: true })
  }
  guard(() => {
    renameSync(temporary, path)
    syncPath(dirname(path))
  })
  return numWritten
}

/** What records are written from. */
export interface KeptRequest {
  readonly config: RunConfig
  readonly inputs: Pick<RunInputs, 'train' | 'trainFiles'>
  readonly scores: PoolScores
  readonly withScores: boolean
}

/** What the samples of each document come to, by its number in reading order. */
function scoreDocuments(
  train: RunInputs['train'],
  { score_P, weight_P, kept_P }: PoolScores,
): Map<number, DocumentScore> {
  const documents = new Map<number, DocumentScore>()
  for (let i = 0; i < train.numSamples; i++) {
    const number = train.documentIndex(i)
    let found = documents.get(number)
    if (found === undefined) {
      const { path, line, source } = train.origin(i)
      found = { place: `${path}:${line}`, source, isKept: false, labels: 0, scoreSum: 0, weightSum: 0 }
      documents.set(number, found)
    }
    const labels = train.labelCount(i)
    found.isKept ||= kept_P[i] === 1
    found.labels += labels
    found.scoreSum += labels * score_P[i]!
    found.weightSum += labels * weight_P[i]!
  }
  return documents
}

function addScores(json: string, { source, labels, scoreSum, weightSum }: DocumentScore): string {
  const taken = SCORE_KEYS.find((key) => Object.hasOwn(JSON.parse(json) as object, key))
  if (taken !== undefined) {
    const said = `--with-score: expected records without the key "${taken}", received one that has it`
    throw new DataError('KEY_TAKEN', said, { key: taken })
  }
  // What is not a number has no word in JSON.
  const [score, weight] = [scoreSum, weightSum].map((sum) => {
    const mean = sum / labels
    return Number.isFinite(mean) ? String(mean) : 'null'
  })
  const added = `"${SCORE_KEYS[0]}":${JSON.stringify(source)},"${SCORE_KEYS[1]}":${score},"${SCORE_KEYS[2]}":${weight}`
  const body = json.slice(0, json.lastIndexOf('}')).trimEnd()
  return `${body}${body.endsWith('{') ? '' : ','}${added}}`
}

function dataChanged(what: string): DataError {
  return new DataError(
    'DATA_CHANGED',
    `data.train: ${printable(what)} changed while the data was scored; start again when its files are complete`,
  )
}
