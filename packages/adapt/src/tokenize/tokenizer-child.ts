import { Worker } from 'node:worker_threads'
import { AdaptError } from '../errors.js'
import { type NativeSpec, NativeTokenizer } from './native-tokenizer.js'
import { SHARED, SHARED_BYTES, type TokenizerBudget } from './tokenizer-budget.js'
import { LOAD_ID, type TokenizerReply, type TokenizerRequest } from './tokenizer-process.js'

// The process of a `TokenizerProcess`: one call after the other, each under the eyes of the guard.
const shared = new SharedArrayBuffer(SHARED_BYTES)
const turn = new Int32Array(shared, 0, 2)
const limits = new Float64Array(shared)
const guard = new Worker(new URL('./tokenizer-guard.js', import.meta.url), { workerData: shared })
guard.unref()

// Schedulers and terminals signal every process of a job. The parent decides what becomes of it; without it this one ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'] as const) process.on(signal, () => {})
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

let native: NativeTokenizer | Error | undefined

/** Does what may take too long between two moves of the turn. */
async function watched<T>({ seconds, megabytes }: TokenizerBudget, action: () => T | Promise<T>): Promise<T> {
  const { user, system } = process.cpuUsage()
  limits[SHARED.processorTime] = user + system + seconds * 1e6
  limits[SHARED.memory] = process.memoryUsage.rss() + megabytes * 1e6
  Atomics.add(turn, SHARED.turn, 1)
  Atomics.notify(turn, SHARED.turn)
  try {
    return await action()
  } finally {
    Atomics.add(turn, SHARED.turn, 1)
  }
}

function load(spec: NativeSpec): NativeTokenizer | Error {
  try {
    return new NativeTokenizer(spec)
  } catch (error) {
    return error as Error
  }
}

async function answer(request: TokenizerRequest): Promise<void> {
  if (request.method === 'load') {
    native = await watched(request.budget, () => load(request.spec))
    const loaded: TokenizerReply = { id: LOAD_ID, value: undefined }
    process.send?.(loaded)
    return
  }
  const { id, method, input, budget } = request
  let reply: TokenizerReply
  try {
    if (!(native instanceof NativeTokenizer)) throw native ?? new Error('no tokenizer was loaded')
    const tokenizer = native
    const value = await watched<unknown>(budget, () =>
      method === 'decode'
        ? tokenizer.decode(input.ids, input.skipSpecialTokens)
        : tokenizer[method](input as never),
    )
    reply = { id, value }
  } catch (error) {
    const { message } = error as Error
    const known = error instanceof AdaptError ? { code: error.code, context: error.context } : undefined
    reply = { id, failure: { message, ...(known ? { known } : {}) } }
  }
  process.send?.(reply)
}

let queue = Promise.resolve()
process.on('message', (request: TokenizerRequest) => {
  queue = queue.then(() => answer(request))
})
