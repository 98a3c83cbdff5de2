import { createHash } from 'node:crypto'
import type { Document } from '../dataset/index.js'
import { DataError } from '../errors.js'
import { createDocumentEncoder } from './document-encoder.js'
import { encodeInOrder } from './encode-in-order.js'
import { SampleWriter } from './sample-writer.js'
import { memoryStore, StoredDataset } from './stored-dataset.js'
import type { TokenDataset } from './token-dataset.js'
import type { Tokenizer } from './tokenizer.js'

/**
 * Tokenises a small set (anchors, an evaluation set) in memory; samples are the same as those of a token cache.
 * Samples without labels are allowed, all of them too: an embedding needs none.
 *
 * @throws {DataError} EMPTY_DATA without documents; CHAT_REFUSED. What `DocumentEncoder.encode` throws. @throws {ConfigError} OUT_OF_RANGE for `maxLength` < 2.
 */
export async function tokenizeDocuments(
  documents: Iterable<Document> | AsyncIterable<Document>,
  tokenizer: Tokenizer,
  maxLength: number,
): Promise<TokenDataset> {
  const parts = { tokens: [] as Uint8Array[], ids: [] as Uint8Array[], records: [] as Uint8Array[] }
  const writer = new SampleWriter(maxLength, {
    tokens: (part) => parts.tokens.push(part),
    ids: (part) => parts.ids.push(part),
    records: (part) => parts.records.push(part),
  })
  const encoder = createDocumentEncoder(tokenizer, 0)
  try {
    await encodeInOrder(documents, {
      encode: encoder.encode,
      maxPending: encoder.maxPending,
      onDocument: (document, tokens) => writer.add(document, tokens),
    })
  } finally {
    await encoder.close()
  }
  const facts = writer.facts(tokenizer.vocabSize)
  if (facts.numDocuments === 0) {
    throw new DataError('EMPTY_DATA', 'expected at least one document to tokenise, received none')
  }
  const [tokens, ids, records] = [join(parts.tokens), join(parts.ids), join(parts.records)]
  const hash = createHash('sha256').update(JSON.stringify([facts, tokenizer.hash, maxLength]))
  for (const bytes of [tokens, ids, records]) {
    hash.update(new Uint8Array(bytes))
  }
  const stores = { records, tokens: memoryStore(tokens), ids: memoryStore(ids) }
  return new StoredDataset(facts, hash.digest('hex'), stores)
}

function join(parts: readonly Uint8Array[]): ArrayBuffer {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all.buffer
}
