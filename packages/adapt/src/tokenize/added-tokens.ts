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

/** A token that a file names, perhaps with the id that it should have. */
interface Named {
  readonly token: Omit<AddedToken, 'id'>
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
 * unknown. A later description of a token replaces its flags; a new token gets the next free id.
 *
 * With `added_tokens_decoder` transformers does not read special_tokens_map.json and added_tokens.json; without, what
 * special_tokens_map.json says of a special token counts before tokenizer_config.json.
 *
 * @throws {HostileFileError} BAD_TOKENIZER for a token whose id would not be the one that its file says.
 */
export function readFolderTokens(sources: TokenSources): FolderTokens {
  const { own, vocabulary, settings, specialMap, addedFile, bad } = sources
  const hasDecoder = (settings.added_tokens_decoder ?? undefined) !== undefined
  const values: JsonObject = hasDecoder ? settings : { ...settings, ...specialMap }
  const keys = specialKeys(values)
  const extra = extraTokens(settings, hasDecoder ? {} : specialMap)
  const named = [
    ...keys.flatMap((key) => asNamed(values[key], originOf(values, key, settings)) ?? []),
    ...extra.named,
  ]
  const specialTexts = new Set([...named, ...extra.listed].map(({ token }) => token.content))
  const described = hasDecoder ? decoderTokens(settings, bad) : fileTokens(addedFile, specialTexts, bad)
  const table = new Map(own.map((token) => [token.content, token]))
  // What the native library gives a token that is new to it.
  let next = own.reduce((highest, { id }) => Math.max(highest, id + 1), vocabulary.size)
  const add = ({ token, id, file }: Named): void => {
    const given = table.get(token.content)?.id ?? vocabulary.get(token.content) ?? next++
    if (id !== undefined && id !== given) {
      const shown = `token "${printable(token.content, 40)}"`
      throw bad(file, `${shown}: expected id ${id}, but by tokenizer.json it has or gets ${given}`)
    }
    table.set(token.content, { id: given, ...token })
  }
  for (const one of described) {
    const isNamed = named.some(({ token }) => token.content === one.token.content)
    add(isNamed ? { ...one, token: { ...one.token, special: true } } : one)
  }
  const known = new Set(table.keys())
  // A token that is written twice with other flags is added both times: the flags of the last count.
  const seen = new Set<string>()
  for (const one of [...named, ...extra.listed]) {
    const form = JSON.stringify([one.isText, one.token])
    if (known.has(one.token.content) || seen.has(form)) continue
    seen.add(form)
    add(one)
  }
  const special = Object.fromEntries(keys.flatMap((key) => pairOf(key, values[key])))
  return { added: [...table.values()], special }
}

/** The standard keys first, then those of the tokenizer's own, such as `image_token`. */
function specialKeys(values: JsonObject): string[] {
  const own = Object.keys(values).filter(
    (key) => key.endsWith('_token') && !SPECIAL_KEYS.includes(key) && contentOf(values[key]) !== undefined,
  )
  return [...SPECIAL_KEYS, ...own]
}

function pairOf(key: string, value: unknown): [string, string][] {
  const content = contentOf(value)
  return content === undefined ? [] : [[key, content]]
}

function originOf(values: JsonObject, key: string, settings: JsonObject): string {
  return values[key] === settings[key] ? SETTINGS : SPECIAL_MAP
}

/** `extra_special_tokens`, a list or names with their tokens, else `additional_special_tokens`. */
function extraTokens(
  settings: JsonObject,
  specialMap: JsonObject,
): { readonly named: readonly Named[]; readonly listed: readonly Named[] } {
  const of = (value: unknown, file: string): Named[] =>
    Object.values((value ?? {}) as JsonObject).flatMap((token) => asNamed(token, file) ?? [])
  const both = [
    [settings, SETTINGS],
    [specialMap, SPECIAL_MAP],
  ] as const
  const named = both.flatMap(([values, file]) => {
    const value = values.extra_special_tokens
    return Array.isArray(value) || typeof value !== 'object' ? [] : of(value, file)
  })
  const [inSettings, inMap] = both.map(
    ([{ extra_special_tokens: newer, additional_special_tokens: older }, file]) => {
      const isNewer = typeof newer === 'object' && newer !== null && Object.keys(newer).length > 0
      const list = isNewer ? newer : older
      return { listed: Array.isArray(list) ? of(list, file) : [], isNewer }
    },
  )
  // Of two lists by the older key only the first counts; those by the newer one are joined.
  const isJoined = inMap!.isNewer || inSettings!.listed.length === 0
  return { named, listed: isJoined ? [...inSettings!.listed, ...inMap!.listed] : inSettings!.listed }
}

/** `added_tokens_decoder`: id to token, in the order of the ids. */
function decoderTokens(settings: JsonObject, bad: TokenSources['bad']): Named[] {
  const decoder = settings.added_tokens_decoder
  if (typeof decoder !== 'object' || Array.isArray(decoder)) {
    throw bad(SETTINGS, '"added_tokens_decoder": expected a JSON object of ids and tokens')
  }
  const found = Object.entries(decoder as JsonObject).map(([key, value]) => {
    const named = typeof value === 'object' ? asNamed(value, SETTINGS, false) : undefined
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
    return { token: flagged({ content }, isSpecial), id: id as number, file: ADDED_FILE, isText: true }
  })
  return found.sort((a, b) => a.id - b.id)
}

/** A token that is written as text or as an object with `content` and, perhaps, flags. */
function asNamed(value: unknown, file: string, isSpecial = true): Named | undefined {
  const content = contentOf(value)
  if (content === undefined) return undefined
  const isText = typeof value === 'string'
  const flags = isText ? {} : (value as JsonObject)
  return { token: flagged({ ...flags, content }, isSpecial), file, isText }
}

function flagged(
  flags: JsonObject & { readonly content: string },
  isSpecial: boolean,
): Omit<AddedToken, 'id'> {
  const special = isSpecial || flags.special === true
  return {
    content: flags.content,
    single_word: flags.single_word === true,
    lstrip: flags.lstrip === true,
    rstrip: flags.rstrip === true,
    normalized: typeof flags.normalized === 'boolean' ? flags.normalized : !special,
    special,
  }
}

function contentOf(value: unknown): string | undefined {
  const content =
    typeof value === 'object' && value !== null ? (value as { readonly content?: unknown }).content : value
  return typeof content === 'string' && content !== '' ? content : undefined
}
