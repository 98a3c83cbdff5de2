import type { Tokenizer } from '../tokenize/index.js'

/**
 * The text of tokens as they come. A piece is held back while it may still change: a character can take several
 * tokens.
 */
export async function* streamText<Reason>(
  tokens: Generator<number, Reason, undefined>,
  tokenizer: Pick<Tokenizer, 'decode'>,
): AsyncGenerator<string, { readonly ids: readonly number[]; readonly reason: Reason }, undefined> {
  const ids: number[] = []
  let shown = ''
  const decode = async () => await tokenizer.decode(ids, { skipSpecialTokens: true })
  for (;;) {
    const next = tokens.next()
    const text = await decode()
    if (next.done) {
      if (text.length > shown.length) yield text.slice(shown.length)
      return { ids, reason: next.value }
    }
    if (text.startsWith(shown) && !text.endsWith('\ufffd') && text.length > shown.length) {
      yield text.slice(shown.length)
      shown = text
    }
    ids.push(next.value)
    // Ctrl-C and the terminal get their turn between two tokens.
    await new Promise(setImmediate)
  }
}
