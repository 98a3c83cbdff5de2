import { type Document, type DocumentContent, printable } from '../dataset/index.js'
import { DataError, HostileFileError } from '../errors.js'
import type { EncodedDocuments, RefusedDocument } from './encode-documents.js'

const CHUNK_DOCUMENTS = 256
// A tokenised chunk takes some 100 bytes a token until its ids are copied out.
const CHUNK_CHARACTERS = 64 * 1024
/** What a template writes around a message, roughly. */
const MESSAGE_CHARACTERS = 32

export interface EncodeInOrderOptions {
  /** Encodes one chunk; may run elsewhere, and finish in any order. */
  readonly encode: (contents: readonly DocumentContent[]) => Promise<EncodedDocuments>
  /** Chunks under way at most, which bounds memory. */
  readonly maxPending: number
  /** Receives every document that has tokens in reading order, and its `held`. `tokens` may be kept, not changed. */
  readonly onDocument: (document: Document, tokens: Int32Array, held: number) => void
  /** Receives, in the same order, the chats that cannot be rendered. Default: throws. */
  readonly onRefused?: (document: Document, error: DataError) => void
}

interface Pending {
  readonly documents: readonly Document[]
  readonly encoded: Promise<EncodedDocuments>
}

/** Encodes documents in chunks, several at a time, and hands them on in their order: workers cannot change it. */
export async function encodeInOrder(
  documents: Iterable<Document> | AsyncIterable<Document>,
  { encode, maxPending, onDocument, onRefused = raise }: EncodeInOrderOptions,
): Promise<void> {
  const queue: Pending[] = []
  let chunk: Document[] = []
  let numCharacters = 0
  const start = (): void => {
    const encoded = encode(chunk.map((d) => d.content))
    // Awaited later, in order; until then a failure must not count as unhandled.
    encoded.catch(() => {})
    queue.push({ documents: chunk, encoded })
    chunk = []
    numCharacters = 0
  }
  const finish = async (): Promise<void> => {
    const { documents: done, encoded } = queue.shift()!
    const { tokens, lengths, held, refused } = await encoded.catch((error: unknown) => {
      throw placed(error, done)
    })
    const problems = new Map(refused.map((one) => [one.document, one]))
    let at = 0
    for (const [i, document] of done.entries()) {
      const problem = problems.get(i)
      if (problem === undefined) onDocument(document, tokens.subarray(at, at + lengths[i]!), held[i]!)
      else onRefused(document, refusal(document, problem))
      at += lengths[i]!
    }
  }
  for await (const document of documents) {
    chunk.push(document)
    numCharacters += charactersOf(document.content)
    if (chunk.length === CHUNK_DOCUMENTS || numCharacters >= CHUNK_CHARACTERS) {
      start()
      while (queue.length >= maxPending) {
        await finish()
      }
    }
  }
  if (chunk.length > 0) {
    start()
  }
  while (queue.length > 0) {
    await finish()
  }
}

/** An error that names a document of the chunk, with its place. */
function placed(error: unknown, documents: readonly Document[]): unknown {
  if (!(error instanceof HostileFileError)) return error
  const document = documents[error.context.document as number]
  if (document === undefined) return error
  const message = `${printable(document.path)}:${document.line}: ${error.message}`
  return new HostileFileError(error.code, message, {}, { cause: error })
}

function refusal({ path, line, byteOffset }: Document, { code, problem }: RefusedDocument): DataError {
  return new DataError(code, `${printable(path)}:${line}: ${problem}`, { file: path, line, byteOffset })
}

function raise(_: Document, error: DataError): never {
  throw error
}

function charactersOf(content: DocumentContent): number {
  if (content.kind === 'text') return content.text.length
  if (content.kind === 'completion') return content.prompt.length + content.completion.length
  return content.messages.reduce(
    (sum, message) => sum + (message.content?.length ?? 0) + MESSAGE_CHARACTERS,
    0,
  )
}
