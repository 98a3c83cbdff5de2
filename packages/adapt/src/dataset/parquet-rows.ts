import { type JsonValue, jsonObject } from './json-value.js'
import { BadValue } from './parquet-faults.js'
import type { Page } from './parquet-pages.js'
import { type Column, type Leaf, leavesOf } from './parquet-schema.js'

/** Puts the entries of one column's leaves together to the values of rows. */
export class ColumnRows {
  readonly name: string
  /** The value of the next row; only for one that `fill` has announced. */
  readonly next: () => unknown
  readonly #leaves: readonly LeafEntries[]

  /** @param pagesOf  The pages of a leaf, one after another. */
  constructor(column: Column, pagesOf: (leaf: Leaf) => AsyncGenerator<Page, void, undefined>) {
    const entries = new Map(leavesOf(column).map((leaf) => [leaf, new LeafEntries(leaf, pagesOf(leaf))]))
    this.name = column.name
    this.next = takerOf(column, entries)
    this.#leaves = [...entries.values()]
  }

  /** Reads on until there is a whole row, and says how many whole rows there are; 0 at the end. */
  async fill(): Promise<number> {
    let numRows = Number.POSITIVE_INFINITY
    for (const leaf of this.#leaves) numRows = Math.min(numRows, await leaf.fill())
    return numRows
  }

  /** @throws {Error} when there are more rows. */
  async requireEnd(): Promise<void> {
    for (const leaf of this.#leaves)
      if ((await leaf.fill()) > 0) throw new Error('columns of different length')
  }
}

/** A function that takes the next value of a column from the entries of its leaves. */
function takerOf(column: Column, entries: ReadonlyMap<Leaf, LeafEntries>): () => unknown {
  const leaves = leavesOf(column).map((leaf) => entries.get(leaf)!)
  const first = leaves[0]!
  if (column.kind === 'leaf') return () => first.takeValue()
  const skip = <Value>(value: Value): Value => {
    for (const leaf of leaves) leaf.skip()
    return value
  }
  if (column.kind === 'struct') {
    const takeParts = partTakers(column, entries)
    return () =>
      first.definition < column.definition
        ? skip(null)
        : objectOf(takeParts.map(([name, take]) => [name, take()]))
  }
  const { kind, definition, filled, repetition, item } = column
  const takeItems = (take: () => unknown): unknown[] => {
    const items: unknown[] = []
    do items.push(take())
    while (first.repetition === repetition)
    return items
  }
  if (kind === 'map' && item.kind === 'struct') {
    const [[, takeKey], [, takeValue]] = partTakers(item, entries) as [Part, Part]
    const takeEntry = (): [unknown, unknown] => [takeKey(), takeValue()]
    return () => {
      if (first.definition < filled) return skip(first.definition < definition ? null : {})
      return mapOf(takeItems(takeEntry) as [unknown, unknown][])
    }
  }
  const take = takerOf(item, entries)
  return () => {
    if (first.definition < filled) return skip(first.definition < definition ? null : [])
    return takeItems(take)
  }
}

type Part = readonly [string, () => unknown]

function partTakers({ parts }: Column & { kind: 'struct' }, entries: ReadonlyMap<Leaf, LeafEntries>): Part[] {
  return parts.map((part) => [part.name, takerOf(part, entries)])
}

function mapOf(entries: readonly (readonly [unknown, unknown])[]): unknown {
  const keys = new Set(entries.map(([key]) => String(key)))
  if (keys.size < entries.length) return new BadValue('DUPLICATE_KEY', 'expected each key of a map once')
  return objectOf(entries.map(([key, value]) => [String(key), value]))
}

/** In the order of the file, for templates that write it again. */
function objectOf(entries: readonly (readonly [string, unknown])[]): unknown {
  return jsonObject(new Map(entries as readonly (readonly [string, JsonValue])[]))
}

/** The entries of one leaf that were read and not yet used. */
class LeafEntries {
  #pages: Page[] = []
  /** Place of the next entry in the first page, and of its value. */
  #entry = 0
  #value = 0
  /** Rows that begin in what is held. */
  #numBegun = 0
  #isAtEnd = false

  constructor(
    private readonly leaf: Leaf,
    private readonly source: AsyncGenerator<Page, void, undefined>,
  ) {}

  /** Reads pages until a row is whole; the last one is when the next begins, or at the end. */
  async fill(): Promise<number> {
    for (;;) {
      const numWhole = this.leaf.maxRepetition === 0 || this.#isAtEnd ? this.#numBegun : this.#numBegun - 1
      if (numWhole > 0 || this.#isAtEnd) return Math.max(0, numWhole)
      const { value: page, done } = await this.source.next()
      if (done === true) {
        this.#isAtEnd = true
      } else if (page.numEntries > 0) {
        this.#pages.push(page)
        this.#numBegun += countRows(page)
      }
    }
  }

  /** Level of the next entry. */
  get definition(): number {
    const page = this.#pages[0]
    if (page === undefined) throw new Error('a column that ends too early')
    return page.definition === undefined ? this.leaf.maxDefinition : page.definition[this.#entry]!
  }

  /** How far the next entry goes on with what came before; 0 for a new row and at the end. */
  get repetition(): number {
    return this.#pages[0]?.repetition?.[this.#entry] ?? 0
  }

  takeValue(): unknown {
    const isThere = this.definition === this.leaf.maxDefinition
    const value = isThere ? this.#pages[0]!.values[this.#value] : null
    if (value === undefined) throw new Error('a page with too few values')
    this.#advance(isThere)
    return value
  }

  /** Passes over an entry that holds no value. */
  skip(): void {
    if (this.definition === this.leaf.maxDefinition) throw new Error('columns that do not belong together')
    this.#advance(false)
  }

  #advance(hadValue: boolean): void {
    if (this.repetition === 0) this.#numBegun -= 1
    if (hadValue) this.#value += 1
    this.#entry += 1
    if (this.#entry < this.#pages[0]!.numEntries) return
    this.#pages.shift()
    this.#entry = 0
    this.#value = 0
  }
}

function countRows({ numEntries, repetition }: Page): number {
  if (repetition === undefined) return numEntries
  let count = 0
  for (const level of repetition) if (level === 0) count += 1
  return count
}
