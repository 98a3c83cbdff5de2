import { type RunConfig, resolveCacheDir } from '../config/index.js'
import { type AnchorOverlap, findAnchorOverlap } from '../contamination/index.js'
import { printable, type ResolvedFile } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import type { TokenDataset } from '../tokenize/index.js'

/** From this share of the anchors on a run is refused. */
export const MAX_ANCHOR_OVERLAP = 0.5

/**
 * Looks for the anchors in the training data, once for the same files.
 * @throws {ConfigError} ANCHOR_OVERLAP when an anchor file is also a training file, or half of the anchors stand in
 *   the training data word for word, unless `data.allow_anchor_overlap` is set.
 */
export async function checkAnchorOverlap(
  config: RunConfig,
  baseDir: string,
  data: {
    readonly files: readonly ResolvedFile[]
    readonly trainFiles: readonly ResolvedFile[]
    readonly train: TokenDataset
  },
): Promise<AnchorOverlap> {
  const found = await findAnchorOverlap({
    anchorFiles: data.files,
    trainFiles: data.trainFiles,
    trainFingerprint: data.train.fingerprint,
    cacheDir: resolveCacheDir(config, baseDir),
    read: { maxBadRecords: config.data.max_bad_records },
  })
  if (isRefused(found) && !config.data.allow_anchor_overlap) {
    throw new ConfigError(
      'ANCHOR_OVERLAP',
      `${describeAnchorOverlap(found)}: the score would only find what is there already; use other anchors, take ` +
        'them out of data.train, or train all the same with --set data.allow_anchor_overlap=true',
      { numAnchors: found.numAnchors, numVerbatim: found.numVerbatim },
    )
  }
  return found
}

function isRefused({ numAnchors, numVerbatim, identical }: AnchorOverlap): boolean {
  return identical !== undefined || numVerbatim >= MAX_ANCHOR_OVERLAP * numAnchors
}

/** One line for an error or a warning; undefined when no anchor is in the training data. */
export function describeAnchorOverlap(found: AnchorOverlap): string | undefined {
  const { numAnchors, numVerbatim, example, identical } = found
  if (numVerbatim === 0 && identical === undefined) return undefined
  const share = `${numVerbatim} of ${numAnchors} (${((100 * numVerbatim) / numAnchors).toFixed(1)} %)`
  const first = example ? ` (first: ${printable(example.anchor)} is ${printable(example.document)})` : ''
  const same = identical
    ? `; ${printable(identical.anchors)} has the same bytes as the training file ${printable(identical.train)}`
    : ''
  return `anchors: ${share} stand word for word in the training data${first}${same}`
}
