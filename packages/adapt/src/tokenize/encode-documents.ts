import type { ChatContent, DocumentContent } from '../dataset/index.js'
import { DataError } from '../errors.js'
import type { RenderedChat } from './chat-encoder.js'
import { frame, heldTwice } from './frame.js'
import type { MarkedText } from './mark-tokens.js'
import { idOfToken, markContext } from './marked-token.js'
import type { Tokenizer } from './tokenizer.js'

/** Documents as tokens, end to end; plain data and typed arrays, so that they cross threads without copies. */
export interface EncodedDocuments {
  /**
   * Marked tokens of all documents (`markedToken`): `[start] text [eos]`, or a chat as its template writes it. The first
   * token of a document is never a label. A start or eos that the text holds already is not added again.
   */
  readonly tokens: Int32Array<ArrayBuffer>
  /** Tokens of each document. */
  readonly lengths: Uint32Array<ArrayBuffer>
  /** UTF-8 bytes of a chat's text that its labels hold, special tokens left out; 0 for other documents. */
  readonly trainedBytes: Float64Array<ArrayBuffer>
  /** Special tokens that each document had by itself: bits of `HELD`. */
  readonly held: Uint8Array<ArrayBuffer>
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
  readonly held: number
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
    return { tokens: new Int32Array(0), trainedBytes: 0, held: 0 }
  }
  const { eos_token: eos } = tokenizer.chat.specialTokens
  const isEnded = (text: string): boolean => eos !== undefined && text.trimEnd().endsWith(eos)
  const parts = contents.map((content, document): Part => {
    if (content.kind === 'text') {
      return { ...frame(encodedTexts.next().value!, 0, tokenizer, isEnded(content.text)), trainedBytes: 0 }
    }
    if (content.kind === 'completion') {
      const { tokens, numPromptTokens } = encodedPairs.next().value!
      const numContext = tokenizer.chat.completionOnlyLoss ? numPromptTokens : 0
      return { ...frame(tokens, numContext, tokenizer, isEnded(content.completion)), trainedBytes: 0 }
    }
    const chat = rendered[document]!
    if (chat instanceof Error) return refuse(document, chat.code, chat.message)
    const encoded = encodedChats.next().value!
    if (encoded.tokens.length < 2) {
      return refuse(document, 'CHAT_REFUSED', `the chat template writes ${encoded.tokens.length} tokens`)
    }
    markContext(encoded.tokens, 0, 1)
    return { ...encoded, held: heldTwice(encoded.tokens.map(idOfToken), tokenizer) }
  })
  const lengths = Uint32Array.from(parts, (p) => p.tokens.length)
  const tokens = new Int32Array(lengths.reduce((a, b) => a + b, 0))
  let at = 0
  for (const part of parts) {
    tokens.set(part.tokens, at)
    at += part.tokens.length
  }
  const trainedBytes = Float64Array.from(parts, (p) => p.trainedBytes)
  return { tokens, lengths, trainedBytes, held: Uint8Array.from(parts, (p) => p.held), refused }
}

function refuseAll(): DataError {
  return new DataError('CHAT_REFUSED', 'conversations are rendered in a thread of their own')
}
