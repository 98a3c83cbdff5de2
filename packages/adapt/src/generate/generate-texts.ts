import type { CausalLM } from '../model/index.js'
import type { Tokenizer } from '../tokenize/index.js'
import {
  type FinishReason,
  GenerationBatch,
  type GenerationBatchOptions,
  type PromptRow,
} from './generation-batch.js'

/** A text to continue, and texts that end it. */
export interface TextPrompt extends PromptRow {
  /** Each ends the text where it appears; none is part of it. */
  readonly until?: readonly string[] | undefined
}

/** How a text goes on. */
export interface GeneratedText {
  /** All of it, as its tokens read together, without special tokens. */
  readonly text: string
  /** Token ids, up to the one that completed a stop text. */
  readonly ids: readonly number[]
  readonly reason: FinishReason
}

/** How texts are put together; none depends on it. */
export interface GenerateTextsOptions extends GenerationBatchOptions {
  /** Positions that keys and values are kept of at once, in all rows; a text that needs more is alone. */
  readonly maxCachedPositions: number
  /** Texts that are written at once. Default 64. */
  readonly maxRows?: number
  /** Called after each token of a batch; what it throws ends the generation. */
  readonly onStep?: () => void
  /** Called as texts end, with the place of each among the prompts. */
  readonly onText: (index: number, text: GeneratedText) => void
}

/** Rows above which a step on a CPU gains little. */
const MAX_ROWS = 64
/** Tokens between two looks at what was written, for a stop text. */
const LOOK_EVERY = 8

/**
 * Continues texts, many at once, the longest prompts first.
 * @throws what `GenerationBatch` throws.
 */
export async function generateTexts(
  model: CausalLM,
  tokenizer: Pick<Tokenizer, 'decode'>,
  prompts: readonly TextPrompt[],
  options: GenerateTextsOptions,
): Promise<void> {
  for (const places of planBatches(prompts, options)) {
    await writeBatch(model, tokenizer, { prompts, places, options })
  }
}

/** Places of the prompts of each batch: texts of one length are written together, so that little is padded. */
export function planBatches(
  prompts: readonly TextPrompt[],
  { maxCachedPositions, maxRows = MAX_ROWS }: Pick<GenerateTextsOptions, 'maxCachedPositions' | 'maxRows'>,
): number[][] {
  const lengthOf = (i: number) => prompts[i]!.tokens.length
  const newOf = (i: number) => prompts[i]!.maxNewTokens ?? 0
  const order = [...prompts.keys()].sort((a, b) => lengthOf(b) - lengthOf(a) || newOf(b) - newOf(a) || a - b)
  const batches: number[][] = []
  let [longest, most] = [0, 0]
  for (const place of order) {
    const last = batches.at(-1)
    most = Math.max(most, newOf(place))
    if (
      last !== undefined &&
      last.length < maxRows &&
      (last.length + 1) * (longest + most) <= maxCachedPositions
    ) {
      last.push(place)
    } else {
      batches.push([place])
      longest = lengthOf(place)
      most = newOf(place)
    }
  }
  return batches
}

async function writeBatch(
  model: CausalLM,
  tokenizer: Pick<Tokenizer, 'decode'>,
  {
    prompts,
    places,
    options,
  }: {
    readonly prompts: readonly TextPrompt[]
    readonly places: readonly number[]
    readonly options: GenerateTextsOptions
  },
): Promise<void> {
  const own = places.map((place) => prompts[place]!)
  using batch = new GenerationBatch(model, own, options)
  const written = own.map((): number[] => [])
  const decode = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true })
  const finish = async (row: number, reason: FinishReason): Promise<void> => {
    const stopped = await cutAtStop(written[row]!, own[row]!.until ?? [], decode)
    options.onText(
      places[row]!,
      stopped === undefined
        ? { text: await decode(written[row]!), ids: written[row]!, reason }
        : { ...stopped, reason: 'stop' },
    )
  }
  for (let steps = batch.step(); steps.length > 0; steps = batch.step()) {
    for (const { row, token, reason } of steps) {
      if (reason !== undefined) {
        await finish(row, reason)
        continue
      }
      const ids = written[row]!
      ids.push(token)
      const { until = [] } = own[row]!
      if (until.length === 0 || ids.length % LOOK_EVERY !== 0) continue
      const text = await decode(ids)
      if (!until.some((stop) => text.includes(stop))) continue
      batch.end(row)
      await finish(row, 'stop')
    }
    options.onStep?.()
    // Signals and timers get their turn.
    await new Promise(setImmediate)
  }
}

/** The text before the first stop text, and the tokens up to the one that completed it. Undefined without one. */
async function cutAtStop(
  ids: readonly number[],
  until: readonly string[],
  decode: (ids: readonly number[]) => Promise<string>,
): Promise<Pick<GeneratedText, 'text' | 'ids'> | undefined> {
  const isIn = (text: string) => until.some((stop) => text.includes(stop))
  if (until.length === 0 || !isIn(await decode(ids))) return undefined
  let end = Math.max(0, ids.length - LOOK_EVERY)
  while (end < ids.length && !isIn(await decode(ids.slice(0, end)))) end += 1
  const text = await decode(ids.slice(0, end))
  return { text: until.reduce((kept, stop) => kept.split(stop)[0]!, text), ids: ids.slice(0, end) }
}
