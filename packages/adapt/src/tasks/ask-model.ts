import type { DType } from '@adapt-ts/torch'
import { ConfigError, DataError } from '../errors.js'
import { generateTexts } from '../generate/index.js'
import type { CausalLM } from '../model/index.js'
import type { Tokenizer } from '../tokenize/index.js'
import type { TaskResponse } from './metrics.js'
import type { ScoredText } from './plan-trees.js'
import type { GenerationSettings, TaskRequest } from './prepare-task.js'
import { ResponseStore, responseKey } from './response-store.js'
import { evaluationStopped, scoreTexts } from './score-texts.js'

/** How a model is asked. */
export interface AskOptions {
  /** Positions of a window. */
  readonly maxLength: number
  /** Positions of a pass; no response depends on it. */
  readonly maxPositions: number
  /** Positions whose keys and values are kept at once while answers are written; no response depends on it. Default: as `maxPositions`. */
  readonly maxCachedPositions?: number
  readonly autocastDtype?: DType | undefined
  /** Put bos before contexts; default: as the tokenizer's own `encode` does. */
  readonly addBosToken?: boolean | undefined
  /** Tells this model and its precision from others, for the store. */
  readonly modelKey?: string
  readonly store?: ResponseStore
  readonly isCancelled?: () => boolean
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

/** Texts that are encoded at once. */
const ENCODED_AT_ONCE = 1000

interface Encoded {
  /** Windows of each request; one but for rolling likelihoods. */
  readonly texts: readonly (readonly ScoredText[])[]
  /** Tokens before a text that is to be written. */
  readonly contexts: ReadonlyMap<number, Int32Array>
  readonly numTruncated: number
}

/**
 * Asks a model; equal requests once, and not what the store has.
 * @throws {DataError} EMPTY_CONTINUATION, CONTINUATION_TOO_LONG. @throws what `scoreTexts` throws.
 */
export async function askModel(
  model: CausalLM,
  tokenizer: Tokenizer,
  requests: readonly TaskRequest[],
  options: AskOptions,
): Promise<Answers> {
  const { store = new ResponseStore(), modelKey = '', onProgress = () => {} } = options
  const encoded = await encodeRequests(tokenizer, requests, options)
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
  await scoreTexts(model, [...wanted.values()], {
    ...options,
    onScored: (found) => {
      store.add(Array.from(found, ([text, response]) => [newKeys[text]!, response] as const))
      done += found.size
      onProgress(done, total)
    },
  })
  await writeAnswers(model, tokenizer, pending, options, (key, text) => {
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

async function encodeRequests(
  tokenizer: Tokenizer,
  requests: readonly TaskRequest[],
  { maxLength, addBosToken }: AskOptions,
): Promise<Encoded> {
  const prefixToken = tokenizer.bosId ?? tokenizer.eosId
  const start =
    addBosToken === undefined
      ? tokenizer.encodeStart
      : addBosToken
        ? [prefixToken]
        : ([] as readonly number[])
  const prefixText = await tokenizer.decode([prefixToken])
  const encode = await encoder(tokenizer, requests.flatMap(textsOf))
  /** As the tokenizer's own `encode`; a text that begins with bos itself gets no other. */
  const withStart = (text: string): number[] =>
    prefixText !== '' && text.startsWith(prefixText) ? [...encode(text)] : [...start, ...encode(text)]
  const contexts = new Map<number, Int32Array>()
  let numTruncated = 0
  const texts = requests.map((request, index): ScoredText[] => {
    if (request.kind === 'loglikelihood_rolling') {
      return rollingWindows(withStart(request.text), prefixToken, maxLength)
    }
    if (request.kind === 'generate_until') {
      const { maxNewTokens } = request.settings
      const room = maxLength - maxNewTokens
      if (room < 1) {
        throw new ConfigError(
          'WINDOW_TOO_SMALL',
          `${request.where}: generation_kwargs.max_gen_toks: expected less than the window of ${maxLength} tokens, received ${maxNewTokens}; set it lower, or a larger --max-length`,
        )
      }
      const tokens = withStart(request.context)
      const kept = tokens.slice(-room)
      if (kept.length < tokens.length) numTruncated += 1
      contexts.set(index, Int32Array.from(kept.length === 0 ? [prefixToken] : kept))
      return []
    }
    const [context, continuation] = encodePair(request, { withStart, encode, prefixToken })
    if (continuation.length === 0) {
      throw new DataError(
        'EMPTY_CONTINUATION',
        `${request.where}: expected a continuation of at least one token, received ${JSON.stringify(request.continuation)} behind ${JSON.stringify(request.context.slice(-40))}`,
      )
    }
    if (continuation.length > maxLength) {
      throw new DataError(
        'CONTINUATION_TOO_LONG',
        `${request.where}: expected a continuation of at most ${maxLength} tokens, received ${continuation.length}: ${JSON.stringify(request.continuation.slice(0, 40))}`,
      )
    }
    const all = [...context, ...continuation]
    if (all.length > maxLength + 1) numTruncated += 1
    return [windowOf(all.slice(-(maxLength + 1)), continuation.length)]
  })
  return { texts, contexts, numTruncated }
}

/** All tokens but the last are read, the last `numTargets` are scored. */
function windowOf(tokens: readonly number[], numTargets: number): ScoredText {
  return {
    input: Int32Array.from(tokens.slice(0, -1)),
    targets: Int32Array.from(tokens.slice(tokens.length - numTargets)),
  }
}

function textsOf(request: TaskRequest): string[] {
  if (request.kind === 'loglikelihood_rolling') return [request.text]
  if (request.kind === 'generate_until') return [request.context]
  const { context, continuation } = request
  if (context === '') return [continuation]
  const [before, after] = moveBlanks(context, continuation)
  return [before, before + after]
}

/** White space at the end of a context belongs to the continuation: tokens begin with it. */
function moveBlanks(context: string, continuation: string): readonly [string, string] {
  const kept = context.trimEnd()
  return [kept, context.slice(kept.length) + continuation]
}

function encodePair(
  { context, continuation }: { readonly context: string; readonly continuation: string },
  {
    withStart,
    encode,
    prefixToken,
  }: {
    readonly withStart: (text: string) => number[]
    readonly encode: (text: string) => Int32Array
    readonly prefixToken: number
  },
): readonly [readonly number[], readonly number[]] {
  if (context === '') {
    const tokens = [...encode(continuation)]
    return tokens[0] === prefixToken ? [tokens.slice(0, 1), tokens.slice(1)] : [[prefixToken], tokens]
  }
  const [before, after] = moveBlanks(context, continuation)
  const whole = withStart(before + after)
  // As the harness: the context has its own tokens, also where another token would span both.
  const own = withStart(before)
  return [own, whole.slice(own.length)]
}

/** Every token of a text once, behind as much of it as a window holds; the first follows `prefixToken`. */
function rollingWindows(tokens: readonly number[], prefixToken: number, maxLength: number): ScoredText[] {
  const windows: ScoredText[] = []
  for (let done = 0; done < tokens.length; ) {
    const count = Math.min(maxLength, tokens.length - done)
    const end = done + count
    if (done === 0) windows.push(windowOf([prefixToken, ...tokens.slice(0, end)], count))
    else windows.push(windowOf(tokens.slice(Math.max(0, end - maxLength - 1), end), count))
    done = end
  }
  return windows
}

/** Encodes texts once each. */
async function encoder(
  tokenizer: Tokenizer,
  texts: readonly string[],
): Promise<(text: string) => Int32Array> {
  const unique = [...new Set(texts)].filter((text) => text !== '')
  const found = new Map<string, Int32Array>([['', new Int32Array(0)]])
  for (let i = 0; i < unique.length; i += ENCODED_AT_ONCE) {
    const some = unique.slice(i, i + ENCODED_AT_ONCE)
    for (const [n, ids] of (await tokenizer.encodeBatch(some)).entries()) found.set(some[n]!, ids)
  }
  return (text) => found.get(text)!
}

/** A text to write, and how. */
interface PendingAnswer {
  readonly tokens: Int32Array
  readonly settings: GenerationSettings
}

/** Writes answers, those that are drawn alike together. */
async function writeAnswers(
  model: CausalLM,
  tokenizer: Tokenizer,
  pending: ReadonlyMap<string, PendingAnswer>,
  { autocastDtype, seed = 0, isCancelled, maxPositions, maxCachedPositions = maxPositions }: AskOptions,
  onAnswer: (key: string, text: string) => void,
): Promise<void> {
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
    await generateTexts(model, tokenizer, prompts, {
      ...{ stopIds: [tokenizer.eosId], temperature, autocastDtype, maxPositions, maxCachedPositions },
      onStep() {
        if (isCancelled?.() === true) throw evaluationStopped()
      },
      onText: (place, { text }) => onAnswer(own[place]![0], text),
    })
  }
}
