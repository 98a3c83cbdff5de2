import type { DocumentContent } from '../dataset/index.js'
import { requireTemplate } from './chat-settings.js'
import { type EncodedDocuments, encodeDocuments } from './encode-documents.js'
import { createEncoderPool, type EncoderPool } from './encoder-pool.js'
import type { Tokenizer } from './tokenizer.js'

/** Turns documents into tokens, in this thread or in others. */
export interface DocumentEncoder {
  /**
   * @throws {ConfigError} CHAT_TEMPLATE_MISSING, or a template that is wrong. @throws {HostileFileError} CHAT_TEMPLATE_BUDGET.
   * @throws {ResourceError} TOKENIZER_THREAD_FAILED.
   */
  encode(contents: readonly DocumentContent[]): Promise<EncodedDocuments>
  /** Chunks that are worth having under way. */
  readonly maxPending: number
  /** Ends the threads. */
  close(): Promise<void>
}

/**
 * @param numWorkers  Threads. With 0 this thread does the work; only conversations get a thread then too, because a
 *   chat template is a program of others that may never end.
 */
export function createDocumentEncoder(tokenizer: Tokenizer, numWorkers: number): DocumentEncoder {
  let pool: EncoderPool | undefined = numWorkers > 0 ? createEncoderPool(tokenizer, numWorkers) : undefined
  return {
    maxPending: 2 * Math.max(1, numWorkers),
    async encode(contents) {
      const hasChat = contents.some(({ kind }) => kind === 'chat')
      if (hasChat) requireTemplate(tokenizer.chat)
      if (pool === undefined && !hasChat) return await encodeDocuments(contents, tokenizer)
      pool ??= createEncoderPool(tokenizer, 1)
      return await pool.encode(contents)
    },
    async close() {
      await pool?.close()
    },
  }
}
