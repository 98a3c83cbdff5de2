import { printable } from '../dataset/index.js'
import type { HostileFileError } from '../errors.js'

type JsonObject = Readonly<Record<string, unknown>>

/** A token beside the vocabulary of the model, as tokenizer.json writes it. */
export interface AddedToken {
  readonly id: number
  readonly content: string
  readonly single_word: boolean
  readonly lstrip: boolean
  readonly rstrip: boolean
  readonly normalized: boolean
  readonly special: boolean
}

/** What the files of a tokenizer folder say of tokens; `{}` for a file that is not there. */
export interface TokenSources {
  /** `added_tokens` of tokenizer.json, checked. */
  readonly own: readonly AddedToken[]
  /** Ids of the vocabulary of the model. */
  readonly vocabulary: ReadonlyMap<string, number>
  /** tokenizer_config.json. */
  readonly settings: JsonObject
  /** special_tokens_map.json. */
  readonly specialMap: JsonObject
  /** added_tokens.json: token to id. */
  readonly addedFile: JsonObject
  /** Makes the error about a file of the folder. */
  readonly bad: (file: string, problem: string) => HostileFileError
}

/** All added tokens of a folder, and its special tokens by their key. */
export interface FolderTokens {
  readonly added: readonly AddedToken[]
  /** Such as `eos_token`; what chat templates are given. */
  readonly special: Readonly<Record<string, string>>
}

/** A token as a file writes it, perhaps with the id that it should have. */
interface Named {
  /** `normalized` only where the file says it: else it is what `special` is not. */
  readonly token: Omit<AddedToken, 'id' | 'normalized'> & { readonly normalized?: boolean }
  readonly id?: number
  readonly file: string
  /** Written as text, without flags. */
  readonly isText: boolean
}

const SETTINGS = 'tokenizer_config.json'
const SPECIAL_MAP = 'special_tokens_map.json'
const ADDED_FILE = 'added_tokens.json'
/** Keys of special tokens in the order in which transformers adds those that it does not know yet. */
const SPECIAL_KEYS = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
]

/**
 * The added tokens of a tokenizer as transformers has them after loading: those of tokenizer.json, then those that
 * `added_tokens_decoder` of tokenizer_config.json (else added_tokens.json) names, then special tokens that are still
 * unknown. `added_tokens_decoder` replaces the flags of a token, added_tokens.json only adds; a new token gets the next
 * free id.
 *
 * With `added_tokens_decoder` transformers does not read special_tokens_map.json and added_tokens.json.
 *
 * @throws {HostileFileError} BAD_TOKENIZER for a token whose id would not be the one that its file says.
 */
export function readFolderTokens(sources: TokenSources): FolderTokens {
  const { own, vocabulary, settings, addedFile, bad } = sources
  const hasDecoder = (settings.added_tokens_decoder ?? undefined) !== undefined
  const specialMap = hasDecoder ? {} : sources.specialMap
  const named = namedTokens(settings, specialMap)
  const listed = listedTokens(settings, specialMap)
  const namedTexts = new Set(Array.from(named.values(), ({ token }) => token.content))
  const table = new Map(own.map((token) => [token.content, token]))
  // What the native library gives a token that is new to it.
  let next = own.reduce((highest, { id }) => Math.max(highest, id + 1), vocabulary.size)
  const add = ({ token, id, file }: Named, isKept = false): void => {
    const { content, normalized } = token
    const given = table.get(content)?.id ?? vocabulary.get(content) ?? next++
    if (id !== undefined && id !== given) {
      const shown = `token "${printable(content, 40)}"`
      throw bad(file, `${shown}: expected id ${id}, but by tokenizer.json it has or gets ${given}`)
    }
    if (isKept && table.has(content)) return
    const special = token.special || namedTexts.has(content)
    table.set(content, { id: given, ...token, special, normalized: normalized ?? !special })
  }
  if (hasDecoder) {
    for (const one of decoderTokens(settings, bad)) add(one)
  } else {
    const isOlderList = !Array.isArray(specialMap.extra_special_tokens)
    const isLate = ({ isText, file }: Named) => !isText && file === SETTINGS
    const early = [
      ...[...named.values()].filter((one) => !isLate(one)),
      ...listed.filter((one) => !isLate(one) && !(isOlderList && one.file === SPECIAL_MAP)),
    ]
    const earlyTexts = new Set(early.map(({ token }) => token.content))
    for (const one of fileTokens(addedFile, earlyTexts, bad)) add(one, true)
  }
  const known = new Set(table.keys())
  // A token that is written twice with other flags is added both times: the flags of the last count.
  const seen = new Set<string>()
  for (const one of [...named.values(), ...listed]) {
    const form = JSON.stringify([one.isText, one.token])
    if (known.has(one.token.content) || seen.has(form)) continue
    seen.add(form)
    add(one)
  }
  const special = Object.fromEntries(Array.from(named, ([key, { token }]) => [key, token.content]))
  return { added: [...table.values()], special }
}

/**
 * Special tokens by their key, the standard ones first, then those of the tokenizer's own: `image_token` and the like, and
 * what `extra_special_tokens` names. Of a standard key special_tokens_map.json decides, of others tokenizer_config.json
 * where it has text.
 */
function namedTokens(settings: JsonObject, specialMap: JsonObject): ReadonlyMap<string, Named> {
  const found = new Map<string, Named>()
  const take = (key: string, value: unknown, file: string): void => {
    const named = asNamed(value, file)
    if (named !== undefined) found.set(key, named)
  }
  for (const key of SPECIAL_KEYS) {
    const [values, file] = Object.hasOwn(specialMap, key) ? [specialMap, SPECIAL_MAP] : [settings, SETTINGS]
    take(key, values[key], file)
  }
  const takeOwn = (values: JsonObject, file: string, isTaken: (value: unknown) => boolean): void => {
    for (const [key, value] of Object.entries(values)) {
      if (key.endsWith('_token') && !SPECIAL_KEYS.includes(key) && isTaken(value)) take(key, value, file)
    }
  }
  const isText = (value: unknown) => typeof value === 'string'
  takeOwn(settings, SETTINGS, (value) => !isText(value))
  takeOwn(specialMap, SPECIAL_MAP, () => true)
  takeOwn(settings, SETTINGS, isText)
  for (const [values, file] of [
    [settings, SETTINGS],
    [specialMap, SPECIAL_MAP],
  ] as const) {
    const { extra_special_tokens: extra } = values
    if (!isMapping(extra)) continue
    for (const [key, value] of Object.entries(extra)) take(key, value, file)
  }
  return found
}

/** Special tokens without a key: a list `extra_special_tokens`, or `additional_special_tokens`, as it was called before. */
function listedTokens(settings: JsonObject, specialMap: JsonObject): readonly Named[] {
  const of = (value: unknown, file: string, isSpecial = false): Named[] =>
    Array.isArray(value) ? value.flatMap((token) => asNamed(token, file, isSpecial) ?? []) : []
  const { extra_special_tokens: extra, additional_special_tokens: additional } = settings
  const isEmpty = Object.keys((extra ?? {}) as object).length === 0
  const isOlder = isEmpty && Object.hasOwn(settings, 'additional_special_tokens')
  const own = of(isOlder ? additional : extra, SETTINGS)
  const { extra_special_tokens: inMap } = specialMap
  if (Array.isArray(inMap)) return [...own, ...of(inMap, SPECIAL_MAP, true)]
  // The newer key, empty or not, lets no list by the older one count.
  const hasList = isOlder || (Object.hasOwn(settings, 'extra_special_tokens') && !isMapping(extra))
  if (hasList && !isMapping(inMap)) return own
  return Object.hasOwn(specialMap, 'additional_special_tokens')
    ? of(specialMap.additional_special_tokens, SPECIAL_MAP)
    : of(isOlder ? undefined : additional, SETTINGS)
}

function isMapping(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `added_tokens_decoder`: id to token, in the order of the ids. */
function decoderTokens(settings: JsonObject, bad: TokenSources['bad']): Named[] {
  const decoder = settings.added_tokens_decoder
  if (typeof decoder !== 'object' || Array.isArray(decoder)) {
    throw bad(SETTINGS, '"added_tokens_decoder": expected a JSON object of ids and tokens')
  }
  const found = Object.entries(decoder as JsonObject).map(([key, value]) => {
    const named = typeof value === 'object' ? asNamed(value, SETTINGS) : undefined
    if (named === undefined || !/^\d{1,9}$/.test(key)) {
      throw bad(
        SETTINGS,
        `"added_tokens_decoder": expected ids with {content, ...}, received "${printable(key, 40)}"`,
      )
    }
    return { ...named, id: Number(key) }
  })
  return found.sort((a, b) => a.id - b.id)
}

function fileTokens(addedFile: JsonObject, special: ReadonlySet<string>, bad: TokenSources['bad']): Named[] {
  const found = Object.entries(addedFile).map(([content, id]) => {
    if (!Number.isSafeInteger(id) || (id as number) < 0) {
      throw bad(ADDED_FILE, `token "${printable(content, 40)}": expected an integer id >= 0, received ${id}`)
    }
    const isSpecial = special.has(content)
    const token = flagged({ content, normalized: !isSpecial }, isSpecial)
    return { token, id: id as number, file: ADDED_FILE, isText: true }
  })
  return found.sort((a, b) => a.id - b.id)
}

/** A token that is written as text, which makes it special, or as an object with `content` and, perhaps, flags. */
function asNamed(value: unknown, file: string, isSpecial = false): Named | undefined {
  const content = contentOf(value)
  if (content === undefined) return undefined
  const isText = typeof value === 'string'
  const flags = isText ? {} : (value as JsonObject)
  return { token: flagged({ ...flags, content }, isSpecial || isText), file, isText }
}

function flagged(flags: JsonObject & { readonly content: string }, isSpecial: boolean): Named['token'] {
  const special = isSpecial || flags.special === true
  return {
    content: flags.content,
    single_word: flags.single_word === true,
    lstrip: flags.lstrip === true,
    rstrip: flags.rstrip === true,
    special,
    ...(typeof flags.normalized === 'boolean' ? { normalized: flags.normalized } : {}),
  }
}

function contentOf(value: unknown): string | undefined {
  const content =
    typeof value === 'object' && value !== null ? (value as { readonly content?: unknown }).content : value
  return typeof content === 'string' && content !== '' ? content : undefined
}
