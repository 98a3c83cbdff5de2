import type { LedgerPart } from './ledger-reader.js'

/** The rows of one step: `begin` to `end` - 1 of the part's columns. */
export interface StepRows {
  readonly step: number
  readonly part: LedgerPart
  readonly begin: number
  readonly end: number
}

/** Walks over the steps of a ledger, with a view of those that follow. */
export class LedgerSteps {
  readonly #parts: AsyncIterator<LedgerPart>
  #waiting: StepRows[] = []

  /** @param parts  Of one rank, as `readLedger` gives them. */
  constructor(parts: AsyncIterable<LedgerPart>) {
    this.#parts = parts[Symbol.asyncIterator]()
  }

  /** The next step, or undefined after the last. */
  async next(): Promise<StepRows | undefined> {
    return (await this.#fill(1)) ? this.#waiting.shift() : undefined
  }

  /** The `distance`-th of the steps that `next` will give, from 0. */
  async peek(distance: number): Promise<StepRows | undefined> {
    return (await this.#fill(distance + 1)) ? this.#waiting[distance] : undefined
  }

  /** Reads on until so many steps wait; false when there are fewer. */
  async #fill(count: number): Promise<boolean> {
    while (this.#waiting.length < count) {
      const { value: part, done } = await this.#parts.next()
      if (done === true) return false
      this.#waiting.push(...splitSteps(part))
    }
    return true
  }
}

function* splitSteps(part: LedgerPart): Generator<StepRows> {
  for (let begin = 0; begin < part.rows; ) {
    const step = part.step[begin]!
    let end = begin + 1
    while (end < part.rows && part.step[end] === step) end++
    yield { step, part, begin, end }
    begin = end
  }
}
