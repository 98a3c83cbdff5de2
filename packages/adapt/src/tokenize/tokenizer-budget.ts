/** What one call of a tokenizer may take. */
export interface TokenizerBudget {
  /** Seconds of processor time. */
  readonly seconds: number
  /** Growth of the process. */
  readonly megabytes: number
}

/** What tokenising may take beside what its text allows; no honest one comes near it. */
export const BASE_BUDGET: TokenizerBudget = { seconds: 3, megabytes: 256 }

// Usual tokenizers take 0.3 to 2 microseconds a character, and 70 to 430 bytes until the ids are copied out.
const SECONDS_PER_CHARACTER = 20e-6
const MEGABYTES_PER_CHARACTER = 1e-3

/** The budget of a text of so many characters; it grows with the text, so that long documents are no suspects. */
export function budgetOf(numCharacters: number, base: TokenizerBudget): TokenizerBudget {
  return {
    seconds: base.seconds + numCharacters * SECONDS_PER_CHARACTER,
    megabytes: base.megabytes + numCharacters * MEGABYTES_PER_CHARACTER,
  }
}

/** How a tokenizer process that is beyond its budget ends itself: the signal is the reason. */
export const OVERTIME_SIGNAL = 'SIGALRM'
export const OVERSIZE_SIGNAL = 'SIGVTALRM'

/** Places of what main thread and guard of a tokenizer process share. */
export const SHARED_BYTES = 24
export const SHARED = { turn: 0, processorTime: 1, memory: 2 } as const
