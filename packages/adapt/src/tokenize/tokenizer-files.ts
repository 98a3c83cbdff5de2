import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { isObject, printable, scanJson } from '../dataset/index.js'
import { ConfigError, HostileFileError } from '../errors.js'
import { type AddedToken, readFolderTokens } from './added-tokens.js'
import { assertSafePatterns } from './tokenizer-patterns.js'
import { type WordRules, wordRules } from './word-borders.js'

/** Largest tokenizer.json that is read; the largest in common use have some 35 MB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024
const MAX_DEPTH = 64

type JsonObject = Readonly<Record<string, unknown>>

/** What the files of a tokenizer folder say, checked. */
export interface TokenizerFiles {
  /** tokenizer.json for the native library: without truncation, padding, dropout and post-processing. */
  readonly json: string
  /** Highest id + 1: the rows an embedding needs. */
  readonly vocabSize: number
  readonly idOf: ReadonlyMap<string, number>
  readonly addedTokens: ReadonlyMap<string, number>
  readonly bosToken: string | undefined
  readonly eosToken: string | undefined
  readonly padToken: string | undefined
  /** Special tokens by their key, such as `bos_token`; what chat templates are given. */
  readonly specialTokens: Readonly<Record<string, string>>
  /** False only when tokenizer_config.json says `add_bos_token: false`. */
  readonly addBosToken: boolean
  /** Special tokens that Hugging Face's own `encode` puts before a text. */
  readonly encodeStart: readonly number[]
  /** SHA-256 (hex) of tokenizer.json. */
  readonly sha256: string
  /** Added tokens that other files than tokenizer.json name or describe otherwise. */
  readonly foreignTokens: readonly AddedToken[]
  /** How a text may be encoded word by word; undefined where it may not. */
  readonly wordRules: WordRules | undefined
}

/**
 * Reads tokenizer.json, with what tokenizer_config.json, special_tokens_map.json and added_tokens.json add to it.
 *
 * @throws {ConfigError} FILE_NOT_FOUND without tokenizer.json.
 * @throws {HostileFileError} BAD_TOKENIZER for damaged files, ids that clash or are others than a file says, TOKENIZER_PATTERN.
 */
export function readTokenizerFiles(folder: string): TokenizerFiles {
  const file = path.join(folder, 'tokenizer.json')
  const bytes = readBounded(file)
  if (bytes === undefined) {
    throw new ConfigError(
      'FILE_NOT_FOUND',
      `${printable(folder)}: expected a folder with tokenizer.json, found none; set tokenizer to such a folder`,
      { folder },
    )
  }
  const config = parseJson(bytes, file)
  assertSafePatterns(config, file)
  const model = objectOf(config.model, file, '"model"')
  const idOf = vocabularyOf(model, file)
  const own = ownTokens(config, file)
  requireOneId(own, idOf, file)
  const settings = readOptional(path.join(folder, 'tokenizer_config.json'))
  if (settings.split_special_tokens === true) {
    const file = path.join(folder, 'tokenizer_config.json')
    throw badTokenizer(file, '"split_special_tokens": expected false: special tokens are never split here')
  }
  const { added, special } = readFolderTokens({
    own,
    vocabulary: idOf,
    settings,
    specialMap: readOptional(path.join(folder, 'special_tokens_map.json')),
    addedFile: readOptional(path.join(folder, 'added_tokens.json')),
    bad: (name, problem) => badTokenizer(path.join(folder, name), problem),
  })
  const allIds = new Map(idOf)
  for (const { content, id } of added) allIds.set(content, id)
  const known = new Set(own.map((token) => JSON.stringify(token)))
  return {
    json: JSON.stringify({
      ...config,
      added_tokens: added,
      truncation: null,
      padding: null,
      // It would add special tokens (we do) and trim offsets (we need them whole).
      post_processor: null,
      // Random merges would make the tokens of a text differ from one time to the next.
      model: 'dropout' in model ? { ...model, dropout: null } : model,
    }),
    vocabSize: checkIds(allIds, file),
    idOf: allIds,
    addedTokens: new Map(added.map(({ content, id }) => [content, id])),
    bosToken: special.bos_token,
    eosToken: special.eos_token,
    padToken: special.pad_token,
    specialTokens: special,
    addBosToken: settings.add_bos_token !== false,
    encodeStart: encodeStart(config.post_processor, settings.add_bos_token, special.bos_token, allIds),
    sha256: createHash('sha256').update(bytes).digest('hex'),
    foreignTokens: added.filter((token) => !known.has(JSON.stringify(token))),
    wordRules: wordRules(config, added),
  }
}

/** What the post-processor of tokenizer.json puts before a text; `add_bos_token` overrules it where it is set. */
function encodeStart(
  postProcessor: unknown,
  addBosToken: unknown,
  bosToken: string | undefined,
  idOf: ReadonlyMap<string, number>,
): readonly number[] {
  const idsOf = (token: string | undefined) => (token === undefined ? [] : [idOf.get(token) ?? []].flat())
  if (typeof addBosToken === 'boolean') return addBosToken ? idsOf(bosToken) : []
  const steps = isObject(postProcessor)
    ? postProcessor.type === 'Sequence' && Array.isArray(postProcessor.processors)
      ? postProcessor.processors
      : [postProcessor]
    : []
  const template = steps.find((step) => isObject(step) && step.type === 'TemplateProcessing')
  const single = isObject(template) && Array.isArray(template.single) ? template.single : []
  const before = single.slice(
    0,
    single.findIndex((piece) => isObject(piece) && Object.hasOwn(piece, 'Sequence')),
  )
  return before.flatMap((piece) => {
    const token = isObject(piece) && isObject(piece.SpecialToken) ? piece.SpecialToken.id : undefined
    return typeof token === 'string' ? idsOf(token) : []
  })
}

/** An error about a file of the tokenizer that is damaged or made to harm. */
export function badTokenizer(file: string, problem: string, cause?: unknown): HostileFileError {
  const options = cause === undefined ? undefined : { cause }
  return new HostileFileError('BAD_TOKENIZER', `${printable(file)}: ${problem}`, { file }, options)
}

function readOptional(file: string): JsonObject {
  const bytes = readBounded(file)
  return bytes === undefined ? {} : parseJson(bytes, file)
}

function readBounded(file: string): Buffer | undefined {
  try {
    const found = statSync(file)
    if (!found.isFile() || found.size > MAX_FILE_BYTES) {
      throw badTokenizer(file, `expected a file of at most ${MAX_FILE_BYTES} bytes`)
    }
    return readFileSync(file)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return undefined
    }
    if (error instanceof HostileFileError) {
      throw error
    }
    const said = `${printable(file)}: cannot be read: ${printable(message)}`
    throw new ConfigError('FILE_UNREADABLE', said, { file }, { cause: error })
  }
}

function parseJson(bytes: Buffer, file: string): JsonObject {
  if (!isUtf8(bytes)) {
    throw badTokenizer(file, 'expected UTF-8')
  }
  const { depth } = scanJson(bytes)
  if (depth > MAX_DEPTH) {
    throw badTokenizer(file, `expected at most ${MAX_DEPTH} levels of nesting, received ${depth}`)
  }
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw badTokenizer(file, `expected JSON: ${printable((error as Error).message)}`, error)
  }
  return objectOf(value, file, 'the file')
}

function objectOf(value: unknown, file: string, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badTokenizer(file, `${what}: expected a JSON object`)
  }
  return value as JsonObject
}

/** Token to id: an object for BPE, WordPiece and WordLevel; a list of [token, score] in id order for Unigram. */
function vocabularyOf(model: JsonObject, file: string): Map<string, number> {
  const { vocab } = model
  if (Array.isArray(vocab)) {
    return new Map(vocab.map((entry, id) => [String((entry as unknown[] | null)?.[0]), id]))
  }
  return new Map(Object.entries(objectOf(vocab, file, '"model.vocab"')) as [string, number][])
}

/** `added_tokens` of tokenizer.json, in its order. */
function ownTokens(config: JsonObject, file: string): AddedToken[] {
  return (Array.isArray(config.added_tokens) ? config.added_tokens : []).map((entry) => {
    const { content, id, ...flags } = objectOf(entry, file, '"added_tokens"')
    if (typeof content !== 'string' || typeof id !== 'number') {
      throw badTokenizer(file, '"added_tokens": expected entries with a text "content" and a number "id"')
    }
    const isSet = (flag: string) => flags[flag] === true
    const [single_word, lstrip, rstrip] = ['single_word', 'lstrip', 'rstrip'].map(isSet) as [
      boolean,
      boolean,
      boolean,
    ]
    const [normalized, special] = [isSet('normalized'), isSet('special')]
    return { id, content, single_word, lstrip, rstrip, normalized, special }
  })
}

function requireOneId(tokens: readonly AddedToken[], idOf: ReadonlyMap<string, number>, file: string): void {
  const added = new Map<string, number>()
  for (const { content, id } of tokens) {
    const known = added.get(content) ?? idOf.get(content) ?? id
    if (known !== id) {
      throw badTokenizer(file, `token "${printable(content, 40)}" has two ids, ${known} and ${id}`)
    }
    added.set(content, id)
  }
}

function checkIds(idOf: ReadonlyMap<string, number>, file: string): number {
  const tokenOf = new Map<number, string>()
  let highest = -1
  for (const [token, id] of idOf) {
    if (!Number.isInteger(id) || id < 0) {
      throw badTokenizer(file, `token "${printable(token, 40)}": expected an integer id >= 0, received ${id}`)
    }
    const other = tokenOf.get(id)
    if (other !== undefined) {
      const both = `"${printable(other, 40)}" and "${printable(token, 40)}"`
      throw badTokenizer(file, `id ${id} belongs to two tokens, ${both}`)
    }
    tokenOf.set(id, token)
    highest = Math.max(highest, id)
  }
  if (idOf.size === 0 || highest + 1 > 2 * idOf.size + 1024) {
    throw badTokenizer(file, `expected ids without large gaps, received ${idOf.size} ids up to ${highest}`)
  }
  return highest + 1
}
