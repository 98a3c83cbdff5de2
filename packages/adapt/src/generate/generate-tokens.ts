import type { CausalLM } from '../model/index.js'
import { type FinishReason, GenerationBatch, type GenerationBatchOptions } from './generation-batch.js'
import type { SamplingOptions } from './sample-token.js'

/** How long a continuation gets and how its tokens are chosen. */
export interface GenerateOptions
  extends SamplingOptions,
    Pick<GenerationBatchOptions, 'stopIds' | 'autocastDtype'> {
  /** Default 128. */
  readonly maxNewTokens?: number
}

/**
 * Continues a prompt token by token; the caller takes as many as it wants. Keys and values of earlier positions are
 * kept, so a token costs one position's forward. The choice of a token is a function of the prompt, the seed and its
 * place.
 *
 * @param prompt  Token ids, at least one, special tokens included.
 * @returns The reason it ended, after the last token.
 * @throws {ConfigError} OUT_OF_RANGE; PROMPT_TOO_LONG when nothing fits behind the prompt.
 * @throws {NumericError} NOT_FINITE when the model gives no numbers, such as one with a NaN among its weights.
 * @example
 * for (const token of generateTokens(model, ids, { stopIds: [tokenizer.eosId] })) write(token)
 */
export function* generateTokens(
  model: CausalLM,
  prompt: ArrayLike<number>,
  { maxNewTokens = 128, seed = 0, ...options }: GenerateOptions = {},
): Generator<number, FinishReason, undefined> {
  using batch = new GenerationBatch(model, [{ tokens: prompt, maxNewTokens, seed }], options)
  for (;;) {
    const [step] = batch.step()
    if (step!.token === undefined) return step!.reason
    yield step!.token
  }
}
