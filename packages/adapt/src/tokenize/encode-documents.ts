import type { ChatContent, DocumentContent } from '../dataset/index.js'
import { DataError } from '../errors.js'
import type { RenderedChat } from './chat-encoder.js'
import type { MarkedText } from './mark-tokens.js'
import { markContext } from './marked-token.js'
import type { Tokenizer } from './tokenizer.js'

/** Documents as tokens, end to end; plain data and typed arrays, so that they cross threads without copies. */
export interface EncodedDocuments {
  /**
   * Marked tokens of all documents (`markedToken`): `[start] text [eos]`, or a chat as its template writes it. The first
   * token of a document is never a label.
   */
  readonly tokens: Int32Array<ArrayBuffer>
  /** Tokens of each document. */
  readonly lengths: Uint32Array<ArrayBuffer>
  /** UTF-8 bytes of a chat's text that its labels hold, special tokens left out; 0 for other documents. */
  readonly trainedBytes: Float64Array<ArrayBuffer>
  /** Chats that cannot be rendered; they have no tokens. */
  readonly refused: readonly RefusedDocument[]
}

/** A conversation that the template does not take. */
export interface RefusedDocument {
  /** Its place among the documents. */
  readonly document: number
  readonly code: string
  readonly problem: string
}

interface Part {
  readonly tokens: Int32Array
  readonly trainedBytes: number
}

/**
 * Tokenises documents, neither cut nor split: `[bos or eos] text [eos]`, `[bos or eos] prompt completion [eos]`, and
 * chats as `render` writes them, with no token of ours.
 */
export async function encodeDocuments(
  contents: readonly DocumentContent[],
  tokenizer: Tokenizer,
  render: (chat: ChatContent, document: number) => RenderedChat = refuseAll,
): Promise<EncodedDocuments> {
  const texts = contents.flatMap((c) => (c.kind === 'text' ? [c.text] : []))
  const pairs = contents.flatMap((c) => (c.kind === 'completion' ? [c] : []))
  const rendered = contents.map((c, document) => (c.kind === 'chat' ? render(c, document) : undefined))
  const chats = rendered.filter((chat): chat is MarkedText => chat !== undefined && !(chat instanceof Error))
  const encodedTexts = (await tokenizer.encodeBatch(texts)).values()
  const encodedPairs = (await tokenizer.encodeCompletions(pairs)).values()
  const encodedChats = (await tokenizer.encodeMarked(chats)).values()
  const refused: RefusedDocument[] = []
  const refuse = (document: number, code: string, problem: string): Part => {
    refused.push({ document, code, problem })
    return { tokens: new Int32Array(0), trainedBytes: 0 }
  }
  const parts = contents.map((content, document): Part => {
    if (content.kind === 'text')
      return { tokens: frame(encodedTexts.next().value!, 0, tokenizer), trainedBytes: 0 }
    if (content.kind === 'completion') {
      const { tokens, numPromptTokens } = encodedPairs.next().value!
      const numContext = tokenizer.chat.completionOnlyLoss ? numPromptTokens : 0
      return { tokens: frame(tokens, numContext, tokenizer), trainedBytes: 0 }
    }
    const chat = rendered[document]!
    if (chat instanceof Error) return refuse(document, chat.code, chat.message)
    const encoded = encodedChats.next().value!
    if (encoded.tokens.length < 2) {
      return refuse(document, 'CHAT_REFUSED', `the chat template writes ${encoded.tokens.length} tokens`)
    }
    markContext(encoded.tokens, 0, 1)
    return encoded
  })
  const lengths = Uint32Array.from(parts, (p) => p.tokens.length)
  const tokens = new Int32Array(lengths.reduce((a, b) => a + b, 0))
  let at = 0
  for (const part of parts) {
    tokens.set(part.tokens, at)
    at += part.tokens.length
  }
  return { tokens, lengths, trainedBytes: Float64Array.from(parts, (p) => p.trainedBytes), refused }
}

/** `[start] tokens [eos]`; the start and the first `numContext` tokens are context. */
function frame(ids: Int32Array, numContext: number, { startId, eosId }: Tokenizer): Int32Array {
  const tokens = new Int32Array(ids.length + 2)
  tokens[0] = startId
  tokens.set(ids, 1)
  tokens[tokens.length - 1] = eosId
  markContext(tokens, 0, 1 + numContext)
  return tokens
}

function refuseAll(): DataError {
  return new DataError('CHAT_REFUSED', 'conversations are rendered in a thread of their own')
}
