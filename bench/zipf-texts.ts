/** Texts that are made up while they are read, always the same ones, and texts of the same words. */
export interface ZipfTexts {
  /** Of `numWords` words and one that no other text has. */
  texts(count: number): Generator<{ readonly index: number; readonly text: string }>
  /** So many words in one text; each call another. */
  words(count: number): string
}

const VOCABULARY = 200_000
const PIECE_WORDS = 20

/**
 * Frequencies of words are as in language (Zipf).
 * @param joints  What may stand between two words. Default a space.
 */
export function zipfTexts({
  numWords,
  joints = [' '],
}: {
  readonly numWords: number
  readonly joints?: readonly string[]
}): ZipfTexts {
  const random = createRandom(20_261_128)
  const vocabulary = Array.from({ length: VOCABULARY }, () =>
    Array.from({ length: 2 + Math.floor(random() * 9) }, () =>
      String.fromCharCode(97 + Math.floor(random() * 26)),
    ).join(''),
  )
  const words = (count: number): string => {
    const parts: string[] = []
    for (let i = 0; i < count; i++) {
      if (i > 0) parts.push(joints.length === 1 ? joints[0]! : joints[Math.floor(random() * joints.length)]!)
      parts.push(vocabulary[Math.floor(Math.exp(random() * Math.log(VOCABULARY)) - 1)]!)
    }
    // One flat text: what is added up stays in pieces, which every reader would put together again.
    return parts.join('')
  }
  const pieces = Array.from({ length: 20_000 }, () => words(PIECE_WORDS))
  return {
    words,
    *texts(count) {
      const next = createRandom(7)
      for (let index = 0; index < count; index++) {
        let text = `w${index}`
        for (let i = PIECE_WORDS; i <= numWords; i += PIECE_WORDS)
          text += ` ${pieces[Math.floor(next() * pieces.length)]}`
        yield { index, text }
      }
    },
  }
}

/** Uniform in [0, 1). */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
