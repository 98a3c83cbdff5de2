import type { DocumentContent } from '../dataset/index.js'
import { markContext } from './marked-token.js'
import type { Tokenizer } from './tokenizer.js'

/** Documents as tokens, end to end; plain typed arrays, so that they cross threads without copies. */
export interface EncodedDocuments {
  /** Marked tokens of all documents (`markedToken`): each is `[start] tokens [eos]`, the first is never a label. */
  readonly tokens: Int32Array<ArrayBuffer>
  /** Tokens of each document. */
  readonly lengths: Uint32Array<ArrayBuffer>
}

/** Tokenises documents: `[bos or eos] text [eos]`, or `[bos or eos] prompt completion [eos]`. Neither cut nor split. */
export async function encodeDocuments(
  contents: readonly DocumentContent[],
  tokenizer: Tokenizer,
): Promise<EncodedDocuments> {
  const texts = contents.flatMap((c) => (c.kind === 'text' ? [c.text] : []))
  const pairs = contents.flatMap((c) => (c.kind === 'completion' ? [c] : []))
  const encodedTexts = (await tokenizer.encodeBatch(texts)).values()
  const encodedPairs = (await tokenizer.encodeCompletions(pairs)).values()
  const parts = contents.map((content) => {
    if (content.kind === 'text') {
      return { tokens: encodedTexts.next().value!, numPromptTokens: 0 }
    }
    return encodedPairs.next().value!
  })
  const lengths = Uint32Array.from(parts, (p) => p.tokens.length + 2)
  const tokens = new Int32Array(lengths.reduce((a, b) => a + b, 0))
  let at = 0
  for (const part of parts) {
    tokens[at] = tokenizer.startId
    tokens.set(part.tokens, at + 1)
    markContext(tokens, at, at + 1 + part.numPromptTokens)
    at += part.tokens.length + 2
    tokens[at - 1] = tokenizer.eosId
  }
  return { tokens, lengths }
}
