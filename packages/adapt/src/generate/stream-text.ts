import type { Tokenizer } from '../tokenize/index.js'

/** A text that was generated, and why it ended. */
export interface StreamedText<Reason> {
  /** All of it, as its tokens read together. */
  readonly text: string
  /** Token ids, up to the one that completed a stop text. */
  readonly ids: readonly number[]
  readonly reason: Reason | 'stop'
}

/**
 * The text of tokens as they come. A piece is held back while it may still change or begin a stop text: a character
 * can take several tokens.
 *
 * @param stopText  Ends the text where it appears; it is not part of it.
 */
export async function* streamText<Reason>(
  tokens: Generator<number, Reason, undefined>,
  tokenizer: Pick<Tokenizer, 'decode'>,
  stopText?: string,
): AsyncGenerator<string, StreamedText<Reason>, undefined> {
  const ids: number[] = []
  let shown = ''
  for (;;) {
    const next = tokens.next()
    if (!next.done) ids.push(next.value)
    const decoded = await tokenizer.decode(ids, { skipSpecialTokens: true })
    const stop = stopText === undefined ? -1 : decoded.indexOf(stopText)
    const isOver = next.done || stop >= 0
    const text = stop >= 0 ? decoded.slice(0, stop) : decoded
    const safe = isOver ? text : withoutBeginOf(stopText, text)
    if ((isOver || !safe.endsWith('\ufffd')) && safe.length > shown.length && safe.startsWith(shown)) {
      yield safe.slice(shown.length)
      shown = safe
    }
    if (next.done) return { text, ids, reason: next.value }
    if (stop >= 0) return { text, ids, reason: 'stop' }
    // Ctrl-C and the terminal get their turn between two tokens.
    await new Promise(setImmediate)
  }
}

/** The text without an end of it that is the beginning of the stop text. */
function withoutBeginOf(stopText: string | undefined, text: string): string {
  for (let length = Math.min(stopText?.length ?? 0, text.length); length > 0; length--) {
    if (text.endsWith(stopText!.slice(0, length))) return text.slice(0, -length)
  }
  return text
}
