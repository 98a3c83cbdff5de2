/** T positions of one row. */
import { autocast, type DType, narrow, noGrad, scope } from '@adapt-ts/torch'
import { batchTokens } from '../batch/index.js'
import { ConfigError, NumericError } from '../errors.js'
import { type CausalLM, forwardCached, KeyValueCache, mixSeeds } from '../model/index.js'
import { assertSamplingOptions, type SamplingOptions, sampleToken } from './sample-token.js'

/** How long a continuation gets and how its tokens are chosen. */
export interface GenerateOptions extends SamplingOptions {
  /** Default 128. */
  readonly maxNewTokens?: number
  /** Tokens that end the text; they are not part of it. */
  readonly stopIds?: readonly number[]
  /** Matrix products in this dtype. Default float32. */
  readonly autocastDtype?: DType | undefined
}

/** Why a text ends: a stop token, its length, or the most positions the model was made for. */
export type FinishReason = 'stop' | 'length' | 'context'

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
  options: GenerateOptions = {},
): Generator<number, FinishReason, undefined> {
  const { maxNewTokens = 128, stopIds = [], autocastDtype, seed = 0 } = options
  assertSamplingOptions(options)
  const { maxPositionEmbeddings } = model.config
  if (prompt.length >= maxPositionEmbeddings) {
    throw new ConfigError(
      'PROMPT_TOO_LONG',
      `the prompt has ${prompt.length} tokens, the model was made for ${maxPositionEmbeddings} in all`,
    )
  }
  const maxLength = Math.min(maxPositionEmbeddings, prompt.length + maxNewTokens)
  const wasTraining = model.training
  model.eval()
  using cache = new KeyValueCache(model.config, maxLength, {
    dtype: autocastDtype ?? 'float32',
    device: model.device,
  })
  const nextLogits = (tokens: ArrayLike<number>): Float32Array =>
    noGrad(() =>
      scope(() =>
        autocast(model.device, autocastDtype, () => {
          const hidden_BTD = forwardCached(model, batchTokens([tokens]), cache)
          return model.forward(narrow(hidden_BTD, 1, tokens.length - 1, 1)).toFloat32Array()
        }),
      ),
    )
  try {
    let tokens: ArrayLike<number> = prompt
    for (let place = 0; place < maxNewTokens; place++) {
      if (cache.length + tokens.length > maxLength) return 'context'
      const logits_V = nextLogits(tokens)
      requireFinite(logits_V)
      const token = sampleToken(logits_V, mixSeeds(seed, place) / 2 ** 32, options)
      if (stopIds.includes(token)) return 'stop'
      yield token
      tokens = [token]
    }
    return 'length'
  } finally {
    model.train(wasTraining)
  }
}

function requireFinite(logits_V: Float32Array): void {
  // A sum of float32 in float64 is finite when its terms are.
  if (Number.isFinite(logits_V.reduce((sum, logit) => sum + logit, 0))) return
  throw new NumericError('NOT_FINITE', 'the model gives no finite logits; are its weights finite?')
}
