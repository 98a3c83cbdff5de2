import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { type DocumentContent, printable } from '../dataset/index.js'
import { ResourceError } from '../errors.js'
import type { EncodedDocuments } from './encode-documents.js'
import type { Tokenizer } from './tokenizer.js'

/** What the main thread sends to a worker. */
export interface EncodeRequest {
  readonly chunk: number
  readonly contents: readonly DocumentContent[]
}

/** What a worker sends back. */
export type EncodeReply =
  | { readonly chunk: number; readonly encoded: EncodedDocuments }
  | { readonly chunk: number; readonly failure: string }

export interface EncoderPool {
  encode(contents: readonly DocumentContent[]): Promise<EncodedDocuments>
  /** Lets the threads finish what they do and ends them. */
  close(): Promise<void>
}

const YOUNG_GENERATION_MB = 3

interface Waiting {
  readonly resolve: (encoded: EncodedDocuments) => void
  readonly reject: (error: Error) => void
}

/**
 * Threads that tokenise; each loads the tokenizer from its folder. Chunks go to the threads in turn.
 * A promise rejects with ResourceError TOKENIZER_THREAD_FAILED when its thread fails.
 */
export function createEncoderPool(tokenizer: Tokenizer, numWorkers: number): EncoderPool {
  const members = Array.from({ length: numWorkers }, () => startMember(tokenizer))
  let chunk = 0
  return {
    encode(contents) {
      const member = members[chunk % members.length]!
      const request: EncodeRequest = { chunk: chunk++, contents }
      return new Promise((resolve, reject) => member.send(request, { resolve, reject }))
    },
    async close() {
      await Promise.all(members.map((m) => m.close()))
    },
  }
}

function startMember({ folder, hash }: Tokenizer) {
  const worker = new Worker(new URL('./tokenize-worker.js', import.meta.url), {
    workerData: { folder, hash },
    // What the tokenizer holds for an encoding, some hundred bytes a token, is freed with a small object that the
    // collector does not know to be heavy. A small nursery makes it look often.
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  })
  const waiting = new Map<number, Waiting>()
  let failure: Error | undefined
  let hasExited = false
  const fail = (message: string, cause?: unknown): void => {
    const text = `a tokenising thread failed: ${printable(message)}`
    failure ??= new ResourceError('TOKENIZER_THREAD_FAILED', text, {}, { cause })
    for (const one of waiting.values()) {
      one.reject(failure)
    }
    waiting.clear()
  }
  worker.on('message', (reply: EncodeReply) => {
    const one = waiting.get(reply.chunk)
    waiting.delete(reply.chunk)
    if ('encoded' in reply) {
      one?.resolve(reply.encoded)
    } else {
      one?.reject(
        new ResourceError('TOKENIZER_THREAD_FAILED', `tokenising failed: ${printable(reply.failure)}`),
      )
    }
  })
  worker.on('error', (error) => fail(error.message, error))
  worker.on('exit', (code) => {
    hasExited = true
    fail(`it ended with code ${code}`)
  })
  return {
    send(request: EncodeRequest, one: Waiting): void {
      if (failure !== undefined) {
        one.reject(failure)
        return
      }
      waiting.set(request.chunk, one)
      worker.postMessage(request)
    },
    async close(): Promise<void> {
      if (!hasExited) {
        worker.postMessage('close')
        await once(worker, 'exit')
      }
    },
  }
}
