import { parentPort, workerData } from 'node:worker_threads'
import { encodeDocuments } from './encode-documents.js'
import type { EncodeReply, EncodeRequest } from './encoder-pool.js'
import { loadTokenizer } from './tokenizer.js'

// A thread of `createEncoderPool`: encodes chunks until it is told to close.
const { folder, hash } = workerData as { readonly folder: string; readonly hash: string }
const tokenizer = loadTokenizer(folder)
if (tokenizer.hash !== hash) {
  throw new Error(`${folder}: the tokenizer changed while it was in use`)
}

parentPort!.on('message', async (request: EncodeRequest | 'close') => {
  if (request === 'close') {
    parentPort!.close()
    return
  }
  try {
    const encoded = await encodeDocuments(request.contents, tokenizer)
    const reply: EncodeReply = { chunk: request.chunk, encoded }
    parentPort!.postMessage(reply, [encoded.tokens.buffer, encoded.lengths.buffer])
  } catch (error) {
    const reply: EncodeReply = { chunk: request.chunk, failure: (error as Error).message }
    parentPort!.postMessage(reply)
  }
})
