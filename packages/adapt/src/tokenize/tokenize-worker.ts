import { parentPort, workerData } from 'node:worker_threads'
import type { ChatContent } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import { createChatRenderer, type RenderedChat } from './chat-encoder.js'
import { encodeDocuments } from './encode-documents.js'
import type { EncodeReply, EncodeRequest, WorkerData } from './encoder-pool.js'
import { loadTokenizer } from './tokenizer.js'

// A thread of `createEncoderPool`: encodes chunks until it is told to close.
const { folder, hash, chat, watch } = workerData as WorkerData
const tokenizer = loadTokenizer(folder, chat)
if (tokenizer.hash !== hash) {
  throw new Error(`${folder}: the tokenizer changed while it was in use`)
}
let renderer: ReturnType<typeof createChatRenderer> | undefined

const isClosing = (): boolean => Atomics.load(watch, 2) === 1

/** Renders under the eyes of the watchdog. */
function render(content: ChatContent, document: number): RenderedChat {
  if (isClosing()) throw new Error('the thread is closing')
  watch[1] = document
  Atomics.store(watch, 0, watch[0]! + 1)
  try {
    // Many short renderings of a long conversation are no endless one.
    renderer ??= createChatRenderer(chat, () => Atomics.store(watch, 0, watch[0]! + 2))
    return renderer(content, document)
  } finally {
    Atomics.store(watch, 0, watch[0]! + 1)
  }
}

parentPort!.on('message', async (request: EncodeRequest | 'close') => {
  if (request === 'close') {
    parentPort!.close()
    return
  }
  // Nobody waits for what is left when an error ended the work.
  if (isClosing()) return
  try {
    const encoded = await encodeDocuments(request.contents, tokenizer, render)
    const reply: EncodeReply = { chunk: request.chunk, encoded }
    parentPort!.postMessage(reply, [
      encoded.tokens.buffer,
      encoded.lengths.buffer,
      encoded.trainedBytes.buffer,
      encoded.held.buffer,
    ])
  } catch (error) {
    const { message } = error as Error
    const known =
      error instanceof AdaptError ? { name: error.name, code: error.code, context: error.context } : undefined
    const reply: EncodeReply = { chunk: request.chunk, failure: { message, ...(known ? { known } : {}) } }
    parentPort!.postMessage(reply)
  }
})
