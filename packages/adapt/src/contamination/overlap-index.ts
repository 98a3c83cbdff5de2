import { doubled } from './doubled.js'
import { GramTable } from './gram-table.js'
import { WholeTexts } from './whole-texts.js'
import { forEachGram, WordScanner, wordsOf } from './word-scanner.js'

/** Words of a window: two texts that share one are taken to share text. */
export const GRAM_WORDS = 13
/** Fewest words of a text that is looked for whole because it is shorter than a window. */
export const MIN_WORDS = 8

/** A text and where it stands. */
export interface PlacedText {
  /** Such as `file:line`. */
  readonly place: string
  readonly text: string
}

/** An item and a document that share text. */
export interface OverlapExample {
  readonly kind: 'shared words' | 'duplicate'
  readonly item: string
  readonly document: string
  /** The words in common (lower case), or the start of the text. */
  readonly text: string
}

/** What was found of one group of items. */
export interface OverlapCounts {
  readonly group: string
  readonly items: number
  /** Items with at least 8 words; shorter ones can only be found as duplicates. */
  readonly comparable: number
  /** Items that share 13 words in a row with a document, or stand in one whole when they have 8 to 12. */
  readonly shared: number
  /** Items whose whole text is a document, but for capitals and white space. */
  readonly duplicates: number
  /** Documents that share words with an item or are one. */
  readonly documents: number
  readonly examples: readonly OverlapExample[]
}

const MAX_EXAMPLES = 3
const SHARED = 1
const DUPLICATE = 2

interface Group {
  readonly name: string
  items: number
  comparable: number
  documents: number
  /** Number of the document that was counted last. */
  lastDocument: number
  readonly examples: OverlapExample[]
}

/**
 * Finds the texts of small groups (anchors, evaluation sets) again in a stream of documents. The groups are held
 * in memory (24 bytes a word or so), the documents are not: memory does not grow with them.
 */
export class OverlapIndex {
  private readonly groups: Group[] = []
  private readonly places: string[] = []
  private readonly found: number[] = []
  private groupOf = new Int32Array(1024)
  private readonly tables = new Map<number, GramTable>()
  private readonly wholes = new WholeTexts()
  private readonly scanner = new WordScanner()
  private numDocuments = 0

  /** Adds an item to a group. All items come before the first document. */
  add(group: string, { place, text }: PlacedText): void {
    const item = this.places.length
    const g = this.groupNumber(group)
    this.places.push(place)
    this.found.push(0)
    if (item === this.groupOf.length) this.groupOf = doubled(this.groupOf)
    this.groupOf[item] = g
    this.groups[g]!.items += 1
    this.wholes.add(text, item)
    this.scanner.scan(text)
    const { count } = this.scanner
    if (count < MIN_WORDS) return
    this.groups[g]!.comparable += 1
    const length = Math.min(count, GRAM_WORDS)
    const table = this.tables.get(length) ?? new GramTable()
    this.tables.set(length, table)
    forEachGram(this.scanner, length, (a, b) => table.add(a, b, item))
  }

  /** Looks for the items in one document. */
  match(document: PlacedText): void {
    this.numDocuments += 1
    this.matchWhole(document)
    this.scanner.scan(document.text)
    for (const [length, table] of this.tables) {
      forEachGram(this.scanner, length, (a, b, start) => {
        const list = table.find(a, b)
        if (list === 0) return
        table.visit(list, this.groupOf, (item) =>
          this.mark(item, SHARED, document, () =>
            wordsOf(document.text)
              .slice(start, start + length)
              .join(' '),
          ),
        )
      })
    }
  }

  private matchWhole(document: PlacedText): void {
    for (const item of this.wholes.find(document.text)) {
      this.mark(item, DUPLICATE, document, () => document.text.slice(0, 200).replace(/\s+/gu, ' ').trim())
    }
  }

  private mark(item: number, kind: 1 | 2, document: PlacedText, text: () => string): void {
    const group = this.groups[this.groupOf[item]!]!
    if (group.lastDocument !== this.numDocuments) {
      group.lastDocument = this.numDocuments
      group.documents += 1
    }
    const before = this.found[item]!
    if ((before & kind) !== 0) return
    this.found[item] = before | kind
    // One example an item: a duplicate shares its words too.
    if (before !== 0 || group.examples.length >= MAX_EXAMPLES) return
    group.examples.push({
      kind: kind === DUPLICATE ? 'duplicate' : 'shared words',
      item: this.places[item]!,
      document: document.place,
      text: text(),
    })
  }

  private groupNumber(name: string): number {
    const known = this.groups.findIndex((group) => group.name === name)
    if (known >= 0) return known
    this.groups.push({ name, items: 0, comparable: 0, documents: 0, lastDocument: 0, examples: [] })
    return this.groups.length - 1
  }

  /** What was found so far, groups in the order in which they came. */
  counts(): OverlapCounts[] {
    return this.groups.map(({ name, items, comparable, documents, examples }, g) => {
      const ofGroup = this.found.filter((_, item) => this.groupOf[item] === g)
      const count = (kind: number) => ofGroup.filter((found) => (found & kind) !== 0).length
      return {
        group: name,
        items,
        comparable,
        shared: count(SHARED),
        duplicates: count(DUPLICATE),
        documents,
        examples: [...examples],
      }
    })
  }
}
