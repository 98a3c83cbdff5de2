import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { type DocumentContent, printable } from '../dataset/index.js'
import { ConfigError, HostileFileError, ResourceError } from '../errors.js'
import type { ChatSettings } from './chat-settings.js'
import type { EncodedDocuments } from './encode-documents.js'
import type { Tokenizer } from './tokenizer.js'

/** What a thread is started with. */
export interface WorkerData {
  readonly folder: string
  readonly hash: string
  readonly chat: ChatSettings
  /** Shared: a count that is odd while a conversation is rendered and moves at each rendering, its place in the chunk, and 1 when it is to end. */
  readonly watch: Int32Array
}

/** What the main thread sends to a worker. */
export interface EncodeRequest {
  readonly chunk: number
  readonly contents: readonly DocumentContent[]
}

/** What a worker sends back. */
export type EncodeReply =
  | { readonly chunk: number; readonly encoded: EncodedDocuments }
  | { readonly chunk: number; readonly failure: EncodeFailure }

/** An error of a worker; `known` when it is one of errors.ts. */
export interface EncodeFailure {
  readonly message: string
  readonly known?: {
    readonly name: string
    readonly code: string
    readonly context: Readonly<Record<string, unknown>>
  }
}

/** Threads that tokenise. */
export interface EncoderPool {
  encode(contents: readonly DocumentContent[]): Promise<EncodedDocuments>
  /** Lets the threads finish the chunk or conversation they are at and ends them. */
  close(): Promise<void>
}

/** Limits of what one chat template may take. */
export interface RenderBudget {
  /** For one rendering; a usual one takes less than a millisecond. */
  readonly renderMs: number
  /** Heap of a thread; below what one list may take, because a list beyond that ends the whole process. */
  readonly heapMb: number
}

/** Looks of the watchdog in the time of one rendering. */
const LOOKS = 20
const RENDER_BUDGET: RenderBudget = { renderMs: 20_000, heapMb: 768 }

interface Waiting {
  readonly resolve: (encoded: EncodedDocuments) => void
  readonly reject: (error: unknown) => void
}

/**
 * Threads that tokenise; each loads the tokenizer from its folder. Chunks go to the threads in turn. A thread that
 * is at one rendering for longer than the budget is ended.
 *
 * A promise rejects with ResourceError TOKENIZER_THREAD_FAILED when its thread fails, HostileFileError CHAT_TEMPLATE_BUDGET
 * when a chat template takes too long or too much memory, ConfigError for a template that is wrong.
 */
export function createEncoderPool(
  tokenizer: Tokenizer,
  numWorkers: number,
  budget: RenderBudget = RENDER_BUDGET,
): EncoderPool {
  const members = Array.from({ length: numWorkers }, () => startMember(tokenizer, budget))
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

function startMember({ folder, hash, chat, signal }: Tokenizer, budget: RenderBudget) {
  const watch = new Int32Array(new SharedArrayBuffer(12))
  const workerData: WorkerData = { folder, hash, chat, watch }
  const worker = new Worker(new URL('./tokenize-worker.js', import.meta.url), {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: budget.heapMb },
  })
  const waiting = new Map<number, Waiting>()
  let failure: { readonly reason: unknown } | undefined
  let hasExited = false
  const fail = (reason: unknown): void => {
    failure ??= { reason }
    for (const one of waiting.values()) {
      one.reject(failure.reason)
    }
    waiting.clear()
  }
  const isRendering = (): boolean => Atomics.load(watch, 0) % 2 === 1
  const overBudget = (what: string): HostileFileError => {
    const where = chat.template === undefined ? 'the chat template' : printable(chat.template.where)
    const said = `${where}: rendering one conversation ${what}; is there an endless loop? Set data.chat_template`
    return new HostileFileError('CHAT_TEMPLATE_BUDGET', said, { document: watch[1]! })
  }
  const stopWatching = watchRenders(watch, budget.renderMs, () => {
    fail(overBudget(`took more than ${budget.renderMs / 1000} s`))
    void worker.terminate()
  })
  const onAbort = () => {
    fail(signal!.reason)
    void worker.terminate()
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  worker.on('message', (reply: EncodeReply) => {
    const one = waiting.get(reply.chunk)
    waiting.delete(reply.chunk)
    if ('encoded' in reply) {
      one?.resolve(reply.encoded)
    } else {
      one?.reject(asError(reply.failure))
    }
  })
  worker.on('error', (error) => {
    const isMemory = (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'
    fail(
      isMemory && isRendering()
        ? overBudget(`took more than ${budget.heapMb} MB`)
        : threadFailed(error.message, error),
    )
  })
  worker.on('exit', (code) => {
    hasExited = true
    stopWatching()
    signal?.removeEventListener('abort', onAbort)
    fail(threadFailed(`it ended with code ${code}`))
  })
  return {
    send(request: EncodeRequest, one: Waiting): void {
      if (failure !== undefined) {
        one.reject(failure.reason)
        return
      }
      waiting.set(request.chunk, one)
      worker.postMessage(request)
    },
    async close(): Promise<void> {
      Atomics.store(watch, 2, 1)
      if (!hasExited) {
        worker.postMessage('close')
        await once(worker, 'exit')
      }
    },
  }
}

/**
 * Calls `onStuck` once when one rendering lasts longer than `renderMs`. Looks are counted, not the clock: a process
 * that was stopped for a while is not stuck.
 */
function watchRenders(watch: Int32Array, renderMs: number, onStuck: () => void): () => void {
  let seen = 0
  let numLooks = 0
  const timer = setInterval(() => {
    const count = Atomics.load(watch, 0)
    if (count % 2 === 0 || count !== seen) {
      seen = count
      numLooks = 0
    } else if (++numLooks > LOOKS) {
      clearInterval(timer)
      onStuck()
    }
  }, renderMs / LOOKS)
  timer.unref()
  return () => clearInterval(timer)
}

function asError({ message, known }: EncodeFailure): Error {
  if (known?.name === 'ConfigError') return new ConfigError(known.code, message, known.context)
  if (known?.name === 'ResourceError') return new ResourceError(known.code, message, known.context)
  if (known?.name === 'HostileFileError') return new HostileFileError(known.code, message, known.context)
  return new ResourceError('TOKENIZER_THREAD_FAILED', `tokenising failed: ${printable(message)}`)
}

function threadFailed(message: string, cause?: unknown): ResourceError {
  const text = `a tokenising thread failed: ${printable(message)}`
  return new ResourceError('TOKENIZER_THREAD_FAILED', text, {}, { cause })
}
