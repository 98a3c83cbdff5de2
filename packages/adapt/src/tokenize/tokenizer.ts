import { createHash } from 'node:crypto'
import path from 'node:path'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { type ChatOptions, type ChatSettings, readChatSettings } from './chat-settings.js'
import type { CompletionText, EncodedCompletion } from './completion-text.js'
import type { EncodedText, MarkedText } from './mark-tokens.js'
import type { NativeSpec } from './native-tokenizer.js'
import { BASE_BUDGET, type TokenizerBudget } from './tokenizer-budget.js'
import { readTokenizerFiles } from './tokenizer-files.js'
import { endTokenizerProcess, type TokenizerCalls, tokenizerProcess } from './tokenizer-process.js'
import { WordEncoder } from './word-encoder.js'

/**
 * A Hugging Face tokenizer; the native library runs in a process of its own, under a deadline and a bound on memory. Its calls
 * throw {HostileFileError} BAD_TOKENIZER, TOKENIZER_BUDGET and {ResourceError} TOKENIZER_FAILED.
 */
export interface Tokenizer {
  /** Folder it was loaded from; worker threads load it again. */
  readonly folder: string
  /** Highest id + 1: the rows an embedding needs. */
  readonly vocabSize: number
  readonly bosId?: number
  readonly eosId: number
  readonly padId?: number
  /** First token of every sample: `bosId`, or `eosId` without one or with `add_bos_token: false`. */
  readonly startId: number
  /** What Hugging Face's own `encode` puts before a text: bos for most models that have one, else nothing. */
  readonly encodeStart: readonly number[]
  /** Ids of tokens beside the vocabulary, such as `<eos>`, special or not. */
  readonly addedIds: ReadonlySet<number>
  /** SHA-256 (hex) of tokenizer.json, the special ids and tokens of other files: equal hashes give equal tokens. */
  readonly hash: string
  /** How conversations become text, and what of them and of completions is trained. */
  readonly chat: ChatSettings
  /** When it aborts, all tokenising ends at once, with its reason. */
  readonly signal?: AbortSignal
  /** Ids of each text, without special tokens of our own; `<eos>` written in a text is that token. */
  encodeBatch(texts: readonly string[]): Promise<Int32Array[]>
  /** Ids of prompt and completion joined; see `EncodedCompletion` for the border. */
  encodeCompletions(pairs: readonly CompletionText[]): Promise<EncodedCompletion[]>
  /** Marked tokens of texts of which spans are trained; see `EncodedText`. */
  encodeMarked(texts: readonly MarkedText[]): Promise<EncodedText[]>
  /** Text of token ids. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): Promise<string>
}

/** Who may end the tokenising, and what it may take. */
export interface TokenizerOptions {
  readonly signal?: AbortSignal | undefined
  /** What a call may take beside what its text allows. Default: 3 s of processor time, 256 MB. */
  readonly budget?: TokenizerBudget | undefined
}

/**
 * Loads a Hugging Face tokenizer: tokenizer.json, with the tokens that tokenizer_config.json, special_tokens_map.json
 * and added_tokens.json add, ids as in transformers.
 *
 * @param chat  What the config says of conversations, or settings that were read before.
 * @throws {ConfigError} FILE_NOT_FOUND; TOKENIZER_NO_EOS.
 * @throws {HostileFileError} BAD_TOKENIZER, TOKENIZER_PATTERN. What only the native library finds wrong with the file comes
 *   with the first call.
 */
export function loadTokenizer(
  folder: string,
  chat: ChatOptions | ChatSettings = {},
  { signal, budget = BASE_BUDGET }: TokenizerOptions = {},
): Tokenizer {
  const files = readTokenizerFiles(folder)
  const file = path.join(folder, 'tokenizer.json')
  const idOf = (token: string | undefined) => (token === undefined ? undefined : files.idOf.get(token))
  const [bosId, eosId, padId] = [files.bosToken, files.eosToken, files.padToken].map(idOf)
  if (eosId === undefined) {
    throw new ConfigError(
      'TOKENIZER_NO_EOS',
      `${printable(folder)}: expected an eos_token in tokenizer_config.json or special_tokens_map.json, found none`,
      { folder },
    )
  }
  const startId = files.addBosToken ? (bosId ?? eosId) : eosId
  const settings = 'hash' in chat ? chat : readChatSettings(folder, files.specialTokens, chat)
  const { foreignTokens } = files
  const identity = JSON.stringify([
    files.sha256,
    startId,
    eosId,
    ...(foreignTokens.length > 0 ? [foreignTokens] : []),
    // A text that begins with bos gets no start, whatever the start is.
    ...(bosId === undefined || bosId === startId ? [] : [{ bosId }]),
  ])
  const hash = createHash('sha256').update(identity).digest('hex')
  const spec: NativeSpec = { json: files.json, addedTokens: [...files.addedTokens], file }
  const key = `${hash} ${file} ${JSON.stringify(budget)}`
  signal?.addEventListener('abort', () => endTokenizerProcess(key, signal.reason), { once: true })
  const call = async <M extends keyof TokenizerCalls>(
    method: M,
    input: TokenizerCalls[M]['input'],
  ): Promise<TokenizerCalls[M]['output']> => {
    signal?.throwIfAborted()
    return await tokenizerProcess(key, spec, budget).call(method, input)
  }
  const encodeWhole = async (texts: readonly string[]) => await call('encodeBatch', texts)
  const words = files.wordRules && new WordEncoder(files.wordRules, files.addedTokens.keys())
  return {
    folder: path.resolve(folder),
    vocabSize: files.vocabSize,
    ...(bosId === undefined ? {} : { bosId }),
    eosId,
    ...(padId === undefined ? {} : { padId }),
    startId,
    encodeStart: files.encodeStart,
    addedIds: new Set(files.addedTokens.values()),
    hash,
    chat: settings,
    ...(signal === undefined ? {} : { signal }),
    async encodeBatch(texts) {
      if (texts.length === 0) return []
      if (words === undefined) return await encodeWhole(texts)
      signal?.throwIfAborted()
      return await words.encodeBatch(texts, encodeWhole)
    },
    encodeCompletions: async (pairs) => (pairs.length === 0 ? [] : await call('encodeCompletions', pairs)),
    encodeMarked: async (texts) => (texts.length === 0 ? [] : await call('encodeMarked', texts)),
    decode: async (ids, options = {}) =>
      await call('decode', { ids: Array.from(ids), skipSpecialTokens: options.skipSpecialTokens ?? false }),
  }
}

/**
 * @param embeddingRows  Rows of the model's embedding (its `vocab_size`); more than the tokenizer needs is fine.
 * @throws {ConfigError} TOKENIZER_TOO_LARGE
 */
export function assertTokenizerFits(
  tokenizer: Pick<Tokenizer, 'folder' | 'vocabSize'>,
  embeddingRows: number,
): void {
  if (tokenizer.vocabSize > embeddingRows) {
    throw new ConfigError(
      'TOKENIZER_TOO_LARGE',
      `tokenizer ${printable(tokenizer.folder)}: needs an embedding of ${tokenizer.vocabSize} rows, ` +
        `the model has ${embeddingRows}; use the model's own tokenizer or a larger vocab_size`,
      { vocabSize: tokenizer.vocabSize, embeddingRows },
    )
  }
}
