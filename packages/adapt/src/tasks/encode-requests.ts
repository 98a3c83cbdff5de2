import { ConfigError, DataError } from '../errors.js'
import type { Tokenizer } from '../tokenize/index.js'
import { planTrees, type ScoredText } from './plan-trees.js'
import type { TaskRequest } from './prepare-task.js'

/** How requests become tokens. */
export interface EncodeOptions {
  /** Positions of a window. */
  readonly maxLength: number
  /** Put bos before contexts; default: as the tokenizer's own `encode` does. */
  readonly addBosToken?: boolean | undefined
  /** Who sets the window, for messages. Default `--max-length`. */
  readonly windowKey?: string
}

/** Requests in tokens. */
export interface EncodedRequests {
  /** Windows of each request; one but for rolling likelihoods, none of what is to be written. */
  readonly texts: readonly (readonly ScoredText[])[]
  /** Tokens before a text that is to be written, by the place of its request. */
  readonly contexts: ReadonlyMap<number, Int32Array>
  /** Requests whose context was longer than the window. */
  readonly numTruncated: number
}

/** Texts that are encoded at once. */
const ENCODED_AT_ONCE = 1000

/**
 * Positions that a model computes for requests: what texts share counts once, as `scoreTexts` shares it in passes of `maxPositions`; a text to
 * be written counts with all that it may have.
 */
export function countPositions(
  requests: readonly TaskRequest[],
  { texts, contexts }: Pick<EncodedRequests, 'texts' | 'contexts'>,
  maxPositions: number,
): number {
  let count = 0
  let kept: Int32Array | undefined
  for (const { prefix, tree } of planTrees(texts.flat(), maxPositions)) {
    // Passes behind the same prefix follow each other.
    const isKept = kept?.length === prefix.length && kept.every((token, i) => token === prefix[i])
    count += tree.tokens_N.length + (isKept ? 0 : prefix.length)
    kept = prefix
  }
  for (const [index, tokens] of contexts) {
    const request = requests[index]!
    count += tokens.length + ('settings' in request ? request.settings.maxNewTokens : 0)
  }
  return count
}

/**
 * What requests are in tokens, cut to the window from the left.
 * @throws {ConfigError} WINDOW_TOO_SMALL. @throws {DataError} EMPTY_CONTINUATION, CONTINUATION_TOO_LONG.
 */
export async function encodeRequests(
  tokenizer: Tokenizer,
  requests: readonly TaskRequest[],
  { maxLength, addBosToken, windowKey = '--max-length' }: EncodeOptions,
): Promise<EncodedRequests> {
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
          `${request.where}: generation_kwargs.max_gen_toks: expected less than the window of ${maxLength} tokens, received ${maxNewTokens}; set it lower, or a larger ${windowKey}`,
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
