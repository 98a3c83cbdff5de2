import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fingerprintFiles, type ReadOptions, type ResolvedFile, readDocuments } from '../dataset/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { contentText } from './normalise-text.js'
import { WholeTexts } from './whole-texts.js'

// Raise it whenever the same files would give other figures.
const FORMAT = 1

/** How much of the anchors stands word for word in the training data. */
export interface AnchorOverlap {
  readonly numAnchors: number
  /** Anchors whose whole text is a training document, but for capitals and white space. */
  readonly numVerbatim: number
  /** A pair of places. */
  readonly example?: { readonly anchor: string; readonly document: string }
  /** An anchor file and a training file with the same bytes. */
  readonly identical?: { readonly anchors: string; readonly train: string }
}

/** Where {@link findAnchorOverlap} looks. */
export interface AnchorOverlapOptions {
  readonly anchorFiles: readonly ResolvedFile[]
  readonly trainFiles: readonly ResolvedFile[]
  /** Identifies the training data, such as the fingerprint of its token cache. */
  readonly trainFingerprint: string
  /** Where the result is kept; the second call with the same files reads no training data. */
  readonly cacheDir: string
  readonly read?: ReadOptions
}

/**
 * Looks for the anchors in the training data: one pass over its text in constant memory, the result kept under a
 * key of all files.
 * @throws what `readDocuments` throws.
 */
export async function findAnchorOverlap(options: AnchorOverlapOptions): Promise<AnchorOverlap> {
  const { anchorFiles, trainFingerprint, cacheDir } = options
  const limits = anchorFiles.map(({ entry, limit, textField, columns }) => [
    entry,
    limit ?? null,
    textField ?? null,
    columns ?? null,
  ])
  const parts = [FORMAT, trainFingerprint, await fingerprintFiles(anchorFiles), limits]
  const key = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  const file = path.join(cacheDir, 'anchor-overlap', `${key}.json`)
  const kept = readKept(file)
  if (kept) return kept
  const identical = await findIdenticalFiles(options)
  const found: AnchorOverlap = { ...(await findVerbatim(options)), ...(identical ? { identical } : {}) }
  keep(file, found)
  return found
}

async function findVerbatim({
  anchorFiles,
  trainFiles,
  read = {},
}: AnchorOverlapOptions): Promise<AnchorOverlap> {
  const anchors = new WholeTexts()
  const places: string[] = []
  for await (const { path: name, line, content } of readDocuments(anchorFiles)) {
    anchors.add(contentText(content), places.length)
    places.push(`${name}:${line}`)
  }
  const found = new Set<number>()
  let example: AnchorOverlap['example']
  for await (const { path: name, line, content } of readDocuments(trainFiles, read)) {
    for (const anchor of anchors.find(contentText(content))) {
      found.add(anchor)
      example ??= { anchor: places[anchor]!, document: `${name}:${line}` }
    }
    if (found.size === places.length) break
  }
  return { numAnchors: places.length, numVerbatim: found.size, ...(example ? { example } : {}) }
}

async function findIdenticalFiles({
  anchorFiles,
  trainFiles,
}: AnchorOverlapOptions): Promise<AnchorOverlap['identical']> {
  const sizeOf = (file: ResolvedFile) => statSync(file.path).size
  // Under one name, so that the hash is of the bytes alone.
  const bytesOf = (file: ResolvedFile) => fingerprintFiles([{ ...file, name: 'file' }])
  for (const anchors of anchorFiles) {
    const size = sizeOf(anchors)
    for (const train of trainFiles) {
      if (sizeOf(train) !== size || (await bytesOf(train)) !== (await bytesOf(anchors))) continue
      return { anchors: anchors.name, train: train.name }
    }
  }
  return undefined
}

function readKept(file: string): AnchorOverlap | undefined {
  try {
    const { numAnchors, numVerbatim, ...rest } = JSON.parse(readFileSync(file, 'utf8')) as AnchorOverlap
    return Number.isInteger(numAnchors) && Number.isInteger(numVerbatim)
      ? { numAnchors, numVerbatim, ...rest }
      : undefined
  } catch {
    // Absent or damaged: it is only a shortcut.
    return undefined
  }
}

/** A result that cannot be kept costs a pass at the next start, and nothing else. */
function keep(file: string, found: AnchorOverlap): void {
  const temporary = `${file}.tmp-${process.pid}-${randomBytes(4).toString('hex')}`
  try {
    makeFolder(path.dirname(file))
    writeFileSync(temporary, `${JSON.stringify(found)}\n`)
    renameSync(temporary, file)
  } catch {
    rmSync(temporary, { force: true })
  }
}
