/** B rows, V vocabulary. */
import { argmax, cat, type DType, scope, sum, type Tensor, tensor, toDType } from '@adapt-ts/torch'
import { ConfigError, NumericError } from '../errors.js'
import {
  type CausalLM,
  fillCache,
  forwardCached,
  inEvaluation,
  KeyValueCache,
  mixSeeds,
} from '../model/index.js'
import { assertSamplingOptions, type SamplingOptions, sampleToken } from './sample-token.js'

/** Why a text ends: a stop token, its length, or the most positions the model was made for. */
export type FinishReason = 'stop' | 'length' | 'context'

/** A text to continue. */
export interface PromptRow {
  /** Token ids, at least one, special tokens included. */
  readonly tokens: ArrayLike<number>
  /** Default 128. */
  readonly maxNewTokens?: number
  /** Of its draws, whatever stands in the other rows. Default 0. */
  readonly seed?: number
}

/** How tokens are chosen and what ends a text. */
export interface GenerationBatchOptions extends Omit<SamplingOptions, 'seed'> {
  /** Tokens that end a text; they are not part of it. */
  readonly stopIds?: readonly number[]
  /** Matrix products in this dtype. Default float32. */
  readonly autocastDtype?: DType | undefined
  /** Positions of a pass over prompts; default: all of them. */
  readonly maxPositions?: number
}

/** What a step gave a row: its next token, or why it has none. */
export type GenerationStep = { readonly row: number } & (
  | { readonly token: number; readonly reason?: undefined }
  | { readonly token?: undefined; readonly reason: FinishReason }
)

interface LiveRow {
  readonly row: number
  readonly seed: number
  /** Tokens that it gets at most, and why no more. */
  readonly maxNewTokens: number
  readonly lastReason: FinishReason
}

/**
 * Texts that are continued together, a token each at a time. Keys and values of earlier positions are kept, so that a token
 * costs one position's forward; rows that end leave the batch. The choice of a token is a function of the row's prompt,
 * its seed and the place: other rows do not change it.
 */
export class GenerationBatch {
  private cache: KeyValueCache | undefined
  /** Rows of the cache, and the tokens that they have not read yet. */
  private live: readonly LiveRow[]
  private unread: ReadonlyMap<number, number> = new Map()
  private readonly ended = new Set<number>()
  private place = 0

  /**
   * @param prompts  At least one.
   * @throws {ConfigError} OUT_OF_RANGE; PROMPT_TOO_LONG when nothing fits behind a prompt.
   */
  constructor(
    private readonly model: CausalLM,
    private readonly prompts: readonly PromptRow[],
    private readonly options: GenerationBatchOptions = {},
  ) {
    this.live = prompts.map((prompt, row) => liveRow(model, prompt, row, options))
  }

  /**
   * One more token for every row that has not ended.
   * @returns Empty when all have.
   * @throws {NumericError} NOT_FINITE when the model gives no numbers, such as one with a NaN among its weights.
   */
  step(): readonly GenerationStep[] {
    const before = this.live.filter(({ row }) => !this.ended.has(row))
    const full = before.filter(({ maxNewTokens }) => maxNewTokens === this.place)
    const steps: GenerationStep[] = full.map(({ row, lastReason }) => ({ row, reason: lastReason }))
    for (const { row } of full) this.ended.add(row)
    this.dropEnded()
    if (this.live.length === 0) return steps
    const tokens = this.chooseTokens()
    for (const [i, { row }] of this.live.entries()) {
      const token = tokens[i]!
      const stops = this.options.stopIds?.includes(token) === true
      if (stops) this.ended.add(row)
      steps.push(stops ? { row, reason: 'stop' } : { row, token })
    }
    this.unread = new Map(this.live.map(({ row }, i) => [row, tokens[i]!]))
    this.place += 1
    return steps
  }

  /** Ends a row: it gets no more tokens. */
  end(row: number): void {
    this.ended.add(row)
  }

  private dropEnded(): void {
    const kept = [...this.live.keys()].filter((i) => !this.ended.has(this.live[i]!.row))
    if (kept.length === this.live.length) return
    this.live = kept.map((i) => this.live[i]!)
    const { cache } = this
    if (kept.length === 0 || cache === undefined) return
    scope(() => {
      const index = tensor(Int32Array.from(kept), [kept.length], {
        dtype: 'int64',
        device: this.model.device,
      })
      inEvaluation(this.model, undefined, () => cache.keep(kept, index))
    })
  }

  private chooseTokens(): ArrayLike<number> {
    const { model, live, options } = this
    const { autocastDtype, temperature = 0 } = options
    const numRows = live.length
    const read = (): Float32Array =>
      scope(() => {
        const hidden_BD =
          this.cache === undefined
            ? this.readPrompts()
            : forwardCached(
                model,
                live.map(({ row }) => this.unread.get(row)!),
                this.cache,
              )
        const logits_BV = toDType(model.forward(hidden_BD), 'float32')
        if (temperature > 0) return logits_BV.toFloat32Array()
        // One copy to the host a step: the tokens, and sums that are finite when the logits are.
        return cat([toDType(argmax(logits_BV, 1), 'float32'), sum(logits_BV, [1])]).toFloat32Array()
      })
    const values = inEvaluation(model, autocastDtype, read)
    if (temperature === 0) {
      requireFinite(values.subarray(numRows))
      return values.subarray(0, numRows)
    }
    requireFinite(values)
    const V = model.config.vocabSize
    return live.map(({ seed }, i) => {
      const logits_V = values.subarray(i * V).subarray(0, V)
      return sampleToken(logits_V, mixSeeds(seed, this.place) / 2 ** 32, options)
    })
  }

  private readPrompts(): Tensor {
    const { model, live } = this
    const { autocastDtype, maxPositions } = this.options
    const texts = live.map(({ row }) => this.prompts[row]!.tokens)
    const longest = Math.max(...texts.map(({ length }) => length))
    // The last token of a text is not read.
    const maxLength = longest + Math.max(...live.map(({ maxNewTokens }) => maxNewTokens)) - 1
    this.cache = new KeyValueCache(model.config, maxLength, {
      padding: texts.map(({ length }) => longest - length),
      dtype: autocastDtype ?? 'float32',
      device: model.device,
    })
    const limit = maxPositions === undefined ? {} : { maxPositions }
    return fillCache(model, texts, this.cache, { computeDtype: autocastDtype, ...limit })
  }

  /** Frees keys and values. */
  dispose(): void {
    this.cache?.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function liveRow(
  { config: { maxPositionEmbeddings } }: CausalLM,
  { tokens, maxNewTokens = 128, seed = 0 }: PromptRow,
  row: number,
  options: GenerationBatchOptions,
): LiveRow {
  assertSamplingOptions({ ...options, seed })
  if (tokens.length >= maxPositionEmbeddings) {
    throw new ConfigError(
      'PROMPT_TOO_LONG',
      `the prompt has ${tokens.length} tokens, the model was made for ${maxPositionEmbeddings} in all`,
    )
  }
  const room = maxPositionEmbeddings - tokens.length + 1
  return maxNewTokens <= room
    ? { row, seed, maxNewTokens, lastReason: 'length' }
    : { row, seed, maxNewTokens: room, lastReason: 'context' }
}

function requireFinite(values: Float32Array): void {
  // A sum of float32 in float64 is finite when its terms are.
  if (Number.isFinite(values.reduce((total, value) => total + value, 0))) return
  throw new NumericError('NOT_FINITE', 'the model gives no finite logits; are its weights finite?')
}
