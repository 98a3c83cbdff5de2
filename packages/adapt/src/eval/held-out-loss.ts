import { IGNORED_LABEL } from '../batch/index.js'
import type { CausalLM } from '../model/index.js'
import type { TokenDataset, TokenizedSample, Tokenizer } from '../tokenize/index.js'
import {
  type Evaluation,
  type EvaluationOptions,
  type Sums,
  scoreWindows,
  sumsOf,
  toEvaluation,
  type Window,
} from './score-windows.js'

/** Loss on samples that were held out of training, by source and over all. */
export interface HeldOutEvaluation extends Evaluation {
  /** Mean nats per trained token over all sources: `all.nats_per_token`. */
  readonly eval_loss: number
}

/** Samples held in memory at once. */
const GROUP_SIZE = 256

/**
 * Mean nats of the trained tokens of held-out samples, which are read as in training: unpacked, each piece of a long
 * document by itself, with the label mask of the data. Bits per byte divides the nats by (ln 2 x UTF-8 bytes of the
 * trained tokens as text, special tokens left out).
 *
 * @throws {AdaptError} EVALUATION_CANCELLED (exit 75) when `isCancelled` said so.
 */
export async function evaluateHeldOut(
  model: CausalLM,
  tokenizer: Tokenizer,
  dataset: TokenDataset,
  options: Omit<EvaluationOptions, 'maxLength'> = {},
): Promise<HeldOutEvaluation> {
  const sums = new Map<string, Sums>()
  let lastDocument = -1
  for (let start = 0; start < dataset.numSamples; start += GROUP_SIZE) {
    const windows: Window[] = []
    for (let i = start; i < Math.min(dataset.numSamples, start + GROUP_SIZE); i++) {
      const sample = dataset.sample(i)
      const part = sumsOf(sample.source, sums)
      part.bytes += await trainedBytes(sample, tokenizer)
      // Pieces of a document stand one after another.
      if (dataset.documentIndex(i) !== lastDocument) part.documents += 1
      lastDocument = dataset.documentIndex(i)
      windows.push(windowOf(sample))
    }
    scoreWindows(model, windows, options, sums)
    options.onProgress?.(Math.min(dataset.numSamples, start + GROUP_SIZE))
    await new Promise(setImmediate)
  }
  const evaluation = toEvaluation(sums)
  return { eval_loss: evaluation.all.nats_per_token, ...evaluation }
}

function windowOf({ source, tokens, labelMask }: TokenizedSample): Window {
  const labels = tokens.map((token, t) => (labelMask[t] === 1 ? token : IGNORED_LABEL))
  return { source, tokens: tokens.slice(0, -1), labels: labels.slice(1) }
}

async function trainedBytes(
  { tokens, labelMask }: TokenizedSample,
  tokenizer: Pick<Tokenizer, 'decode'>,
): Promise<number> {
  const trained = tokens.filter((_, t) => labelMask[t] === 1)
  return Buffer.byteLength(await tokenizer.decode(trained, { skipSpecialTokens: true }), 'utf8')
}
