import type { Batch } from '../batch/index.js'
import { evaluationSources, type RunConfig } from '../config/index.js'
import type { AnchorOverlap } from '../contamination/index.js'
import type { Document, ResolvedFile } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { resolveDataFiles } from '../hub/index.js'
import type { TokenCacheProgress } from '../tokenize/index.js'
import { checkAnchorOverlap } from './check-anchor-overlap.js'
import { fetchModels } from './fetch-models.js'
import { fingerprintBase } from './fingerprint-base.js'
import { type OpeningReport, openTrainingData, type TrainingData } from './open-training-data.js'
import { prepareAnchors } from './prepare-anchors.js'

/** Between two lines on how far the tokenising is. */
const LINE_MS = 2000

/** Everything of a run that comes from files, checked before the model is built. */
export interface RunInputs extends TrainingData {
  /** Every label mask is all ones but for the first token: no prompts. */
  readonly isPlainText: boolean
  readonly anchors: readonly Batch[]
  /** The anchors in the order of the batches. */
  readonly anchorDocuments: readonly Document[]
  /** Place among the anchors of the record of each sample that their files make as training data. */
  readonly anchorOfSample: readonly number[]
  /** What the course of training is a function of, by name: SHA-256 (hex) of what was read. */
  readonly fingerprints: Readonly<Record<string, string>>
  /** What of the anchors stands in the training data; absent for a method without anchors. */
  readonly anchorOverlap?: AnchorOverlap
  readonly evaluationFiles: readonly ResolvedFile[]
}

/** What is opened, and who is told meanwhile. */
export interface InputOptions extends Omit<OpeningReport, 'onTokenizing'> {
  /** Whether the method compares with anchors; without, they are not read. */
  readonly needsAnchors: boolean
}

/**
 * Fetches, reads and tokenises what the config names.
 * @throws {ConfigError} missing files or anchors. @throws {DataError} bad records, no data, nothing to train on.
 */
export async function openInputs(
  config: RunConfig,
  baseDir: string,
  { needsAnchors, onLine, checkStop }: InputOptions,
): Promise<RunInputs> {
  if (needsAnchors && config.anchors.length === 0) {
    throw new ConfigError(
      'NO_ANCHORS',
      'anchors: this method compares samples with anchors, but none are given',
    )
  }
  await fetchModels(config, baseDir, { onLine, checkStop })
  const opened = await openTrainingData(config, baseDir, {
    onLine,
    onTokenizing: tokenizingLines(onLine),
    checkStop,
  })
  const { tokenizer, padId, train, trainFiles } = opened
  const evaluationFiles = await resolveDataFiles(evaluationSources(config), baseDir)
  const anchors = needsAnchors ? await prepareAnchors(config, baseDir, tokenizer, padId) : undefined
  const anchorOverlap =
    anchors && (await checkAnchorOverlap(config, baseDir, { files: anchors.files, trainFiles, train }))
  return {
    ...opened,
    isPlainText: train.numLabels === train.numTokens - train.numSamples,
    anchors: anchors?.batches ?? [],
    anchorDocuments: anchors?.documents ?? [],
    anchorOfSample: anchors?.placeOfSample ?? [],
    fingerprints: {
      data: train.fingerprint,
      tokenizer: tokenizer.hash,
      anchors: anchors?.fingerprint ?? '',
      base: fingerprintBase(config, baseDir),
    },
    ...(anchorOverlap ? { anchorOverlap } : {}),
    evaluationFiles,
  }
}

/** A line now and then. */
function tokenizingLines(onLine: (line: string) => void): (progress: TokenCacheProgress) => void {
  let lastLine = 0
  return ({ numDocuments, numTokens, file }) => {
    if (Date.now() - lastLine < LINE_MS) return
    lastLine = Date.now()
    onLine(
      `tokenizing ${file}: ${numDocuments.toLocaleString('en')} documents, ${numTokens.toLocaleString('en')} tokens`,
    )
  }
}
