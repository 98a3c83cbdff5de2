import { markedToken } from './marked-token.js'

/** A text and the spans of it that are trained: [start, end) in UTF-16 units, in order, without overlap. */
export interface MarkedText {
  readonly text: string
  readonly trained: readonly (readonly [number, number])[]
}

/** Tokens of a marked text. */
export interface EncodedText {
  /** `markedToken`s: a token is a label when it holds at least one character of a trained span. */
  readonly tokens: Int32Array
  /** UTF-8 bytes of the characters that labels hold, those of added tokens such as `<eos>` left out. */
  readonly trainedBytes: number
}

/** What is read of an encoding of the tokenizers library, whose own type declarations do not compile. */
interface TokenOffsets {
  getIds(): ArrayLike<number>
  /** Start and end of each token, in characters. */
  getOffsets(): readonly (readonly number[])[]
}

/** @param addedIds  Ids of added tokens, which are no text of the document. */
export function markTokens(
  encoding: TokenOffsets,
  { text, trained }: MarkedText,
  addedIds: ReadonlySet<number>,
): EncodedText {
  const spans = toCharacters(text, trained)
  const offsets = encoding.getOffsets()
  const labelled: (readonly [number, number])[] = []
  let span = 0
  const tokens = Int32Array.from(encoding.getIds(), (id, i) => {
    const [start, end] = offsets[i]!
    // Spans and tokens both go from left to right.
    while (span < spans.length && spans[span]![1] <= start!) span += 1
    const isTrained = span < spans.length && spans[span]![0] < end! && start! < end!
    if (isTrained && !addedIds.has(id)) labelled.push([start!, end!])
    return markedToken(id, isTrained)
  })
  return { tokens, trainedBytes: bytesOf(text, labelled) }
}

/** Spans in UTF-16 units as spans in characters (code points), which is what offsets count. */
function toCharacters(
  text: string,
  spans: readonly (readonly [number, number])[],
): readonly (readonly [number, number])[] {
  const borders = spans.flat()
  const places: number[] = []
  let numCharacters = 0
  let at = 0
  for (const border of borders) {
    for (; at < border; at++) {
      // The second half of a pair is no character of its own.
      const isLow = (text.charCodeAt(at) & 0xfc00) === 0xdc00
      if (!isLow || at === 0 || (text.charCodeAt(at - 1) & 0xfc00) !== 0xd800) numCharacters += 1
    }
    places.push(numCharacters)
  }
  return spans.map((_, i) => [places[2 * i]!, places[2 * i + 1]!])
}

/** UTF-8 bytes of the characters in any of the ranges, which are ordered by their start. */
function bytesOf(text: string, ranges: readonly (readonly [number, number])[]): number {
  let numBytes = 0
  let range = 0
  let index = 0
  for (const character of text) {
    while (range < ranges.length && ranges[range]![1] <= index) range += 1
    if (range === ranges.length) break
    if (ranges[range]![0] <= index) numBytes += Buffer.byteLength(character, 'utf8')
    index += 1
  }
  return numBytes
}
