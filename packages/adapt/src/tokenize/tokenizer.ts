import { createHash } from 'node:crypto'
import path from 'node:path'
import { type Encoding, Tokenizer as NativeTokenizer } from 'tokenizers'
import { printable } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { type ChatOptions, type ChatSettings, readChatSettings } from './chat-settings.js'
import { type EncodedText, type MarkedText, markTokens } from './mark-tokens.js'
import { badTokenizer, readTokenizerFiles, type TokenizerFiles } from './tokenizer-files.js'

/** A Hugging Face tokenizer; encoding runs in the native library, off this thread. */
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
  /** SHA-256 (hex) of tokenizer.json, the special ids and tokens of other files: equal hashes give equal tokens. */
  readonly hash: string
  /** How conversations become text, and what of them and of completions is trained. */
  readonly chat: ChatSettings
  /** Ids of each text, without special tokens of our own; `<eos>` written in a text is that token. */
  encodeBatch(texts: readonly string[]): Promise<Int32Array[]>
  /** Ids of prompt and completion joined; see `EncodedCompletion` for the border. */
  encodeCompletions(pairs: readonly CompletionText[]): Promise<EncodedCompletion[]>
  /** Marked tokens of texts of which spans are trained; see `EncodedText`. */
  encodeMarked(texts: readonly MarkedText[]): Promise<EncodedText[]>
  /** Text of token ids. */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecialTokens?: boolean }): Promise<string>
}

/** A prompt and what follows it; their texts are joined as they are. */
export interface CompletionText {
  readonly prompt: string
  readonly completion: string
}

/** Token ids of prompt and completion, and where the prompt ends. */
export interface EncodedCompletion {
  readonly tokens: Int32Array
  /**
   * Tokens that hold no character of the completion. Prompt and completion are tokenised as one text, as they
   * stand in a document, and the border is found by character offsets; a token that straddles it counts to the
   * completion, because its last characters are to be learnt.
   */
  readonly numPromptTokens: number
}

/**
 * Loads a Hugging Face tokenizer: tokenizer.json, with the tokens that tokenizer_config.json, special_tokens_map.json
 * and added_tokens.json add, ids as in transformers.
 *
 * @param chat  What the config says of conversations, or settings that were read before.
 * @throws {ConfigError} FILE_NOT_FOUND; TOKENIZER_NO_EOS.
 * @throws {HostileFileError} BAD_TOKENIZER, TOKENIZER_PATTERN.
 */
export function loadTokenizer(folder: string, chat: ChatOptions | ChatSettings = {}): Tokenizer {
  const files = readTokenizerFiles(folder)
  const file = path.join(folder, 'tokenizer.json')
  const native = loadNative(files, file)
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
  const addedIds = new Set(files.addedTokens.values())
  const { foreignTokens } = files
  const identity = JSON.stringify([
    files.sha256,
    startId,
    eosId,
    ...(foreignTokens.length > 0 ? [foreignTokens] : []),
  ])
  return {
    folder: path.resolve(folder),
    vocabSize: files.vocabSize,
    ...(bosId === undefined ? {} : { bosId }),
    eosId,
    ...(padId === undefined ? {} : { padId }),
    startId,
    hash: createHash('sha256').update(identity).digest('hex'),
    chat: settings,
    async encodeBatch(texts) {
      return (await encode(native, texts)).map((e) => Int32Array.from(e.getIds()))
    },
    async encodeCompletions(pairs) {
      const encodings = await encode(
        native,
        pairs.map((p) => p.prompt + p.completion),
      )
      return encodings.map((encoding, i) => ({
        tokens: Int32Array.from(encoding.getIds()),
        numPromptTokens: countPromptTokens(encoding, pairs[i]!.prompt),
      }))
    },
    async encodeMarked(texts) {
      const encodings = await encode(
        native,
        texts.map((t) => t.text),
      )
      return encodings.map((encoding, i) => markTokens(encoding, texts[i]!, addedIds))
    },
    async decode(ids, options = {}) {
      return await native.decode(Array.from(ids), options.skipSpecialTokens ?? false)
    },
  }
}

/**
 * @param embeddingRows  Rows of the model's embedding (its `vocab_size`); more than the tokenizer needs is fine.
 * @throws {ConfigError} TOKENIZER_TOO_LARGE
 */
export function assertTokenizerFits(tokenizer: Tokenizer, embeddingRows: number): void {
  if (tokenizer.vocabSize > embeddingRows) {
    throw new ConfigError(
      'TOKENIZER_TOO_LARGE',
      `tokenizer ${printable(tokenizer.folder)}: needs an embedding of ${tokenizer.vocabSize} rows, ` +
        `the model has ${embeddingRows}; use the model's own tokenizer or a larger vocab_size`,
      { vocabSize: tokenizer.vocabSize, embeddingRows },
    )
  }
}

async function encode(native: NativeTokenizer, texts: readonly string[]): Promise<Encoding[]> {
  return texts.length === 0 ? [] : await native.encodeBatch([...texts], { addSpecialTokens: false })
}

function countPromptTokens(encoding: Encoding, prompt: string): number {
  if (prompt === '') {
    return 0
  }
  // Offsets count characters (code points), a JavaScript length counts UTF-16 units.
  let numCharacters = 0
  for (const _ of prompt) {
    numCharacters += 1
  }
  const offsets = encoding.getOffsets()
  const border = offsets.findIndex(([, end]) => end! > numCharacters)
  return border < 0 ? offsets.length : border
}

function loadNative(files: TokenizerFiles, file: string): NativeTokenizer {
  let native: NativeTokenizer
  try {
    native = NativeTokenizer.fromString(files.json)
  } catch (error) {
    const said = printable((error as Error).message)
    throw badTokenizer(file, `not a tokenizer this program can load: ${said}`, error)
  }
  for (const [token, id] of files.addedTokens) {
    // The library gives an added token another id than the file says when the ids leave gaps.
    const actual = native.tokenToId(token)
    if (actual !== id) {
      throw badTokenizer(
        file,
        `added token "${printable(token, 40)}": expected id ${id}, it would get ${actual}`,
      )
    }
  }
  return native
}
