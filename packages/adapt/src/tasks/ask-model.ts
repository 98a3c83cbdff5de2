import type { DType } from '@adapt-ts/torch'
import type { CausalLM } from '../model/index.js'
import { ALONE, type Ranks } from '../ranks.js'
import type { Tokenizer } from '../tokenize/index.js'
import type { EncodedRequests, EncodeOptions } from './encode-requests.js'
import { callToScore, callToWrite } from './help-asking.js'
import type { TaskResponse } from './metrics.js'
import type { ScoredText } from './plan-trees.js'
import type { GenerationSettings, TaskRequest } from './prepare-task.js'
import { ResponseStore, responseKey } from './response-store.js'
import { scoreTexts } from './score-texts.js'
import { writeAnswers } from './write-answers.js'

/** How a model is asked. */
export interface AskOptions extends EncodeOptions {
  /** Positions of a pass; no response depends on it. */
  readonly maxPositions: number
  /** Positions whose keys and values are kept at once while answers are written; no response depends on it. Default: as `maxPositions`. */
  readonly maxCachedPositions?: number
  readonly autocastDtype?: DType | undefined
  /** Tells this model and its precision from others, for the store. */
  readonly modelKey?: string
  readonly store?: ResponseStore
  readonly isCancelled?: () => boolean
  /** Those that help: the others are in `answerCalls` with the same model. Default: none. */
  readonly ranks?: Ranks
  /** Called as responses come: how many there are of all. */
  readonly onProgress?: (done: number, total: number) => void
  readonly seed?: number
}

/** Responses in the order of the requests, and what had to be cut. */
export interface Answers {
  readonly responses: readonly TaskResponse[]
  /** Requests whose context was longer than the window: its beginning was left out. */
  readonly numTruncated: number
}

/**
 * Asks a model; equal requests once, and not what the store has.
 * @param encoded  What `encodeRequests` made of the requests, for the same window.
 * @throws what `scoreTexts` throws.
 */
export async function askModel(
  model: CausalLM,
  tokenizer: Tokenizer,
  { requests, encoded }: { readonly requests: readonly TaskRequest[]; readonly encoded: EncodedRequests },
  options: AskOptions,
): Promise<Answers> {
  const { store = new ResponseStore(), modelKey = '', onProgress = () => {} } = options
  const keyOf = (text: ScoredText): string =>
    responseKey({
      model: modelKey,
      kind: 'loglikelihood',
      tokens: [...text.input, ...text.targets.slice(-1)],
      more: text.targets.length,
    })
  const texts = encoded.texts.flat()
  const keys = texts.map(keyOf)
  const wanted = new Map<string, ScoredText>()
  for (const [i, key] of keys.entries()) if (store.get(key) === undefined) wanted.set(key, texts[i]!)
  const answerKeys = new Map<number, string>()
  const pending = new Map<string, PendingAnswer>()
  for (const [index, tokens] of encoded.contexts) {
    const { settings } = requests[index] as { readonly settings: GenerationSettings }
    const key = responseKey({ model: modelKey, kind: 'generate_until', tokens, more: settings })
    answerKeys.set(index, key)
    if (store.get(key) === undefined) pending.set(key, { tokens, settings })
  }
  const total = texts.length + new Set(answerKeys.values()).size
  let done = total - wanted.size - pending.size
  onProgress(done, total)
  const newKeys = [...wanted.keys()]
  const scored = [...wanted.values()]
  if (scored.length > 0) await callToScore(options.ranks ?? ALONE, scored, options.maxPositions)
  await scoreTexts(model, scored, {
    ...options,
    onScored: (found) => {
      store.add(Array.from(found, ([text, response]) => [newKeys[text]!, response] as const))
      done += found.size
      onProgress(done, total)
    },
  })
  await writePending(model, tokenizer, pending, options, (key, text) => {
    store.add([[key, { text }]])
    done += 1
    onProgress(done, total)
  })
  let next = 0
  const responses = requests.map((_, index): TaskResponse => {
    const key = answerKeys.get(index)
    if (key !== undefined) return store.get(key)!
    const windows = encoded.texts[index]!.map(() => store.get(keys[next++]!) as LikelihoodResponse)
    return {
      logLikelihood: windows.reduce((sum, { logLikelihood }) => sum + logLikelihood, 0),
      isGreedy: windows.every(({ isGreedy }) => isGreedy),
    }
  })
  return { responses, numTruncated: encoded.numTruncated }
}

type LikelihoodResponse = Extract<TaskResponse, { readonly isGreedy: boolean }>

/** A text to write, and how. */
interface PendingAnswer {
  readonly tokens: Int32Array
  readonly settings: GenerationSettings
}

/** Writes answers, those that are drawn alike together. */
async function writePending(
  model: CausalLM,
  tokenizer: Tokenizer,
  pending: ReadonlyMap<string, PendingAnswer>,
  options: AskOptions,
  onAnswer: (key: string, text: string) => void,
): Promise<void> {
  const { seed = 0, maxPositions, maxCachedPositions = maxPositions, ranks = ALONE } = options
  const temperatures = new Set(Array.from(pending.values(), ({ settings }) => settings.temperature))
  for (const temperature of temperatures) {
    const own = [...pending].filter(([, { settings }]) => settings.temperature === temperature)
    const prompts = own.map(
      ([
        ,
        {
          tokens,
          settings: { until, maxNewTokens },
        },
      ]) => ({
        ...{ tokens, maxNewTokens, seed },
        until: until.filter((stop) => stop !== ''),
      }),
    )
    const { autocastDtype, isCancelled } = options
    const how = { temperature, autocastDtype, isCancelled, maxPositions, maxCachedPositions, ranks }
    await callToWrite(ranks, prompts, how)
    await writeAnswers(model, tokenizer, prompts, how, (place, text) => onAnswer(own[place]![0], text))
  }
}
