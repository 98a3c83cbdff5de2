import { contentHash } from './normalise-text.js'

/** Characters other than white space that the filter compares, and of how many it takes them. */
const PREFIX_LENGTH = 8
const PREFIX_OF = 64
const NOTHING: readonly number[] = []

/** Finds a text among others, but for capitals, white space and Unicode form. Most are turned away by their start. */
export class WholeTexts {
  private readonly byHash = new Map<string, number[]>()
  private readonly prefixes = new Set<string | undefined>()

  /** Blank texts are not added. */
  add(text: string, item: number): void {
    const hash = contentHash(text)
    if (hash === undefined) return
    this.prefixes.add(prefixOf(text))
    const same = this.byHash.get(hash)
    if (same) same.push(item)
    else this.byHash.set(hash, [item])
  }

  /** The items whose text is this one. */
  find(text: string): readonly number[] {
    const prefix = prefixOf(text)
    // A start that is too full of white space to be compared may be that of any text, on either side.
    if (prefix !== undefined && !this.prefixes.has(prefix) && !this.prefixes.has(undefined)) return NOTHING
    const hash = contentHash(text)
    return (hash === undefined ? undefined : this.byHash.get(hash)) ?? NOTHING
  }
}

/**
 * The start of a normalised text without its white space: equal for texts with the same hash. Undefined when the
 * characters looked at do not hold enough of it.
 */
function prefixOf(text: string): string | undefined {
  const start = text.trimStart().slice(0, PREFIX_OF)
  const found = start.normalize('NFC').toLowerCase().replace(/\s+/gu, '')
  // What follows the cut may change the character at it, but not the first ones.
  if (found.length < 2 * PREFIX_LENGTH && start.length === PREFIX_OF) return undefined
  return found.slice(0, PREFIX_LENGTH)
}
