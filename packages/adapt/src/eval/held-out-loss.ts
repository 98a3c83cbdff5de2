import { IGNORED_LABEL } from '../batch/index.js'
import type { CausalLM } from '../model/index.js'
import type { TokenDataset, TokenizedSample, Tokenizer } from '../tokenize/index.js'
import {
  type Evaluation,
  type EvaluationOptions,
  type Sums,
  scoreWindows,
  shareSums,
  sumsOf,
  toEvaluation,
  type Window,
} from './score-windows.js'

/** Loss on samples that were held out of training, by source and over all. */
export interface HeldOutEvaluation extends Evaluation {
  /** Mean nats per trained token over all sources: `all.nats_per_token`; null without one. */
  readonly eval_loss: number | null
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
  const bytes = new TrainedBytes(tokenizer, sums)
  for (let start = 0; start < dataset.numSamples; start += GROUP_SIZE) {
    const windows: Window[] = []
    for (let i = start; i < Math.min(dataset.numSamples, start + GROUP_SIZE); i++) {
      const sample = dataset.sample(i)
      await bytes.add(dataset.documentIndex(i), sample)
      windows.push(windowOf(sample))
    }
    scoreWindows(model, windows, options, sums)
    options.onProgress?.(Math.min(dataset.numSamples, start + GROUP_SIZE))
    await new Promise(setImmediate)
  }
  await bytes.finish()
  shareSums(sums, options.collective)
  const evaluation = toEvaluation(sums)
  return { eval_loss: evaluation.all.nats_per_token, ...evaluation }
}

function windowOf({ source, tokens, labelMask }: TokenizedSample): Window {
  const labels = tokens.map((token, t) => (labelMask[t] === 1 ? token : IGNORED_LABEL))
  return { source, tokens: tokens.slice(0, -1), labels: labels.slice(1) }
}

/** Counts documents and the bytes of their trained tokens; a character may lie on the border of two pieces. */
class TrainedBytes {
  private document = -1
  private source = ''
  private trained: number[] = []

  constructor(
    private readonly tokenizer: Pick<Tokenizer, 'decode'>,
    private readonly sums: Map<string, Sums>,
  ) {}

  /** @param document  Pieces of one document come one after another. */
  async add(document: number, { source, tokens, labelMask }: TokenizedSample): Promise<void> {
    if (document !== this.document) {
      await this.finish()
      sumsOf(source, this.sums).documents += 1
      this.document = document
      this.source = source
    }
    for (const [t, token] of tokens.entries()) if (labelMask[t] === 1) this.trained.push(token)
  }

  async finish(): Promise<void> {
    if (this.trained.length === 0) return
    const text = await this.tokenizer.decode(this.trained, { skipSpecialTokens: true })
    sumsOf(this.source, this.sums).bytes += Buffer.byteLength(text, 'utf8')
    this.trained = []
  }
}
