import { type Fail, fieldOf, isObject, type JsonRecord, show } from './record-fields.js'

/** Keys of a message that say whether it is trained: OpenAI's, Axolotl's and ms-swift's. */
const SWITCHES = ['weight', 'train', 'training', 'loss_mask', 'loss']
/** Keys of a message that choose parts of it. */
const DETAILS = ['train_detail', 'training_detail']

/** Words of keys that may say what is trained. */
const CONTROL_WORDS = new Set(
  'weight weights mask masks masked unmasked train trained trainable training loss losses label labels'.split(
    ' ',
  ),
)

/**
 * Whether a message says of itself that it is trained (true, 1) or not (false, 0); undefined where it says nothing.
 * @throws BAD_MESSAGES for any other value, for two that disagree, and for a key that chooses parts of a message.
 */
export function switchOf(message: JsonRecord, role: string, place: string, fail: Fail): boolean | undefined {
  let decided: { readonly key: string; readonly isTrained: boolean } | undefined
  for (const key of SWITCHES) {
    const value = fieldOf(message, key)
    if (value === undefined) continue
    const isTrained = asSwitch(value)
    if (isTrained === undefined) {
      fail(
        'BAD_MESSAGES',
        `${place}.${key}: expected 1 or true for a message that is trained, 0 or false for one that is not, received ` +
          `${show(value)}; weights between are for whole records`,
      )
    }
    if (decided !== undefined && decided.isTrained !== isTrained) {
      fail('BAD_MESSAGES', `${place}: expected "${decided.key}" and "${key}" to agree, one is on, one is off`)
    }
    decided = { key, isTrained: isTrained! }
  }
  if (decided?.isTrained === true && role !== 'assistant') {
    fail(
      'BAD_MESSAGES',
      `${place}.${decided.key}: expected it on for messages of the assistant only, received it on one of ${role}; ` +
        'remove it there (data.assistant_only_loss: false trains all messages)',
    )
  }
  for (const key of DETAILS) {
    const value = fieldOf(message, key)
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue
    fail(
      'BAD_MESSAGES',
      `${place}.${key}: expected none, a message is trained whole or not at all; remove it`,
    )
  }
  return decided?.isTrained
}

function asSwitch(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  const number = value instanceof Number ? Number(value) : value
  return number === 1 ? true : number === 0 ? false : undefined
}

const looks = new Map<string, boolean>()

/** Whether a key's name says that it decides what is trained. */
export function looksLikeControl(key: string): boolean {
  let isLike = looks.get(key)
  if (isLike === undefined) {
    const words = key.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase()
    isLike = words.split(/[^a-z]+/).some((word) => CONTROL_WORDS.has(word))
    // Names from files; a file may hold any number of them.
    if (looks.size < 10_000) looks.set(key, isLike)
  }
  return isLike
}

/**
 * Keys of a record and of its messages that look like a control of what is trained but are none that is heeded, as a
 * user would name them.
 *
 * @param isHeeded  Whether a key of the record itself is read.
 */
export function ignoredControls(record: JsonRecord, isHeeded: (key: string) => boolean): readonly string[] {
  const found = new Set<string>()
  for (const key of Object.keys(record)) {
    if (looksLikeControl(key) && !isHeeded(key) && fieldOf(record, key) !== undefined) found.add(key)
  }
  for (const name of ['messages', 'conversations', 'prompt', 'completion']) {
    const list = fieldOf(record, name)
    if (!Array.isArray(list)) continue
    for (const message of list) {
      if (!isObject(message)) continue
      for (const key of Object.keys(message)) {
        const isKnown = SWITCHES.includes(key) || DETAILS.includes(key)
        if (looksLikeControl(key) && !isKnown && fieldOf(message, key) !== undefined)
          found.add(`${name}[].${key}`)
      }
    }
  }
  return found.size === 0 ? NONE : [...found]
}

const NONE: readonly string[] = []
