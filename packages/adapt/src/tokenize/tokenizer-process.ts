import { type ChildProcess, fork } from 'node:child_process'
import { printable } from '../dataset/index.js'
import { HostileFileError, ResourceError } from '../errors.js'
import type { CompletionText, EncodedCompletion } from './completion-text.js'
import type { EncodedText, MarkedText } from './mark-tokens.js'
import type { NativeSpec } from './native-tokenizer.js'
import {
  BASE_BUDGET,
  budgetOf,
  OVERSIZE_SIGNAL,
  OVERTIME_SIGNAL,
  type TokenizerBudget,
} from './tokenizer-budget.js'

/** Calls of a tokenizer process: what goes in, what comes out. */
export interface TokenizerCalls {
  readonly encodeBatch: { readonly input: readonly string[]; readonly output: Int32Array[] }
  readonly encodeCompletions: {
    readonly input: readonly CompletionText[]
    readonly output: EncodedCompletion[]
  }
  readonly encodeMarked: { readonly input: readonly MarkedText[]; readonly output: EncodedText[] }
  readonly decode: {
    readonly input: { readonly ids: readonly number[]; readonly skipSpecialTokens: boolean }
    readonly output: string
  }
}

/** What the process is sent. */
export type TokenizerRequest =
  | { readonly method: 'load'; readonly spec: NativeSpec; readonly budget: TokenizerBudget }
  | {
      [M in keyof TokenizerCalls]: {
        readonly id: number
        readonly method: M
        readonly input: TokenizerCalls[M]['input']
        readonly budget: TokenizerBudget
      }
    }[keyof TokenizerCalls]

/** What it sends back; `known` when the error is a HostileFileError. */
export type TokenizerReply =
  | { readonly id: number; readonly value: unknown }
  | {
      readonly id: number
      readonly failure: {
        readonly message: string
        readonly known?: { readonly code: string; readonly context: Readonly<Record<string, unknown>> }
      }
    }

/** The reply to `load`. */
export const LOAD_ID = -1

interface Waiting {
  readonly numCharacters: number
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
}

/** What the system ends a program with that does what no program may. */
const CRASHES: readonly (NodeJS.Signals | null)[] = [
  'SIGABRT',
  'SIGSEGV',
  'SIGBUS',
  'SIGILL',
  'SIGFPE',
  'SIGTRAP',
]

/** A process without work ends after this. */
const IDLE_MS = 10_000
/** Characters of a decoded token, at most as a rule. */
const TOKEN_CHARACTERS = 16

const processes = new Map<string, TokenizerProcess>()

/**
 * The process that tokenises for a tokenizer: one for all tokenizers of the same content in this thread. It is started when
 * it is needed, and ends with this thread or process, or when it has had nothing to do for a while.
 * @param key  Equal for equal content.
 */
export function tokenizerProcess(key: string, spec: NativeSpec, budget: TokenizerBudget): TokenizerProcess {
  const known = processes.get(key)
  if (known !== undefined) return known
  const started = new TokenizerProcess(spec, budget, () => {
    if (processes.get(key) === started) processes.delete(key)
  })
  processes.set(key, started)
  return started
}

/**
 * Ends the process of a tokenizer at once; its calls fail with `reason`. A later call starts a new one.
 * @param key  As in {@link tokenizerProcess}.
 */
export function endTokenizerProcess(key: string, reason: unknown): void {
  processes.get(key)?.end(reason)
}

/** A process with the native tokenizer in it, which a deadline and a bound on memory can end. */
export class TokenizerProcess {
  private readonly child: ChildProcess
  private readonly waiting = new Map<number, Waiting>()
  private numCalls = 0
  private isLoaded = false
  private failure: { readonly reason: unknown } | undefined
  private idle: NodeJS.Timeout | undefined

  constructor(
    private readonly spec: NativeSpec,
    private readonly base: TokenizerBudget = BASE_BUDGET,
    private readonly onEnd: () => void = () => {},
  ) {
    this.child = fork(new URL('./tokenizer-child.js', import.meta.url), [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      // What the tokenizer holds for an encoding, some hundred bytes a token, is freed with a small object that the
      // collector does not know to be heavy. A small nursery makes it look often.
      execArgv: ['--max-semi-space-size=1'],
    })
    this.child.on('message', (reply: TokenizerReply) => this.settle(reply))
    this.child.on('error', (error) => this.fail(startFailed(error)))
    this.child.on('exit', (code, signal) => this.fail(this.describeExit(code, signal)))
    this.send({ method: 'load', spec, budget: loadBudget(spec) })
    this.rest()
  }

  /**
   * @throws {HostileFileError} BAD_TOKENIZER, TOKENIZER_BUDGET, TOKENIZER_CRASH. @throws {ResourceError} TOKENIZER_FAILED.
   */
  async call<M extends keyof TokenizerCalls>(
    method: M,
    input: TokenizerCalls[M]['input'],
  ): Promise<TokenizerCalls[M]['output']> {
    if (this.failure !== undefined) throw this.failure.reason
    const id = this.numCalls++
    const numCharacters = charactersOf(method, input)
    clearTimeout(this.idle)
    // The process must not keep this one alive, what is waited for must.
    this.child.ref()
    this.child.channel?.ref()
    return await new Promise((resolve, reject) => {
      this.waiting.set(id, { numCharacters, resolve, reject })
      this.send({ id, method, input, budget: budgetOf(numCharacters, this.base) } as TokenizerRequest)
    })
  }

  get pid(): number | undefined {
    return this.child.pid
  }

  /** Ends the process at once; what is waited for fails with `reason`. */
  end(reason: unknown): void {
    this.fail(reason)
    this.child.kill('SIGKILL')
  }

  private send(request: TokenizerRequest): void {
    this.child.send(request, (error) => {
      if (error) this.fail(startFailed(error))
    })
  }

  private settle(reply: TokenizerReply): void {
    if (reply.id === LOAD_ID) {
      this.isLoaded = true
      return
    }
    const one = this.waiting.get(reply.id)
    this.waiting.delete(reply.id)
    if (this.waiting.size === 0) this.rest()
    if ('value' in reply) {
      one?.resolve(reply.value as never)
      return
    }
    const { message, known } = reply.failure
    one?.reject(
      known
        ? new HostileFileError(known.code, message, known.context)
        : new ResourceError('TOKENIZER_FAILED', `tokenising failed: ${printable(message)}`),
    )
  }

  private rest(): void {
    this.child.unref()
    this.child.channel?.unref()
    clearTimeout(this.idle)
    this.idle = setTimeout(() => this.end(new Error('the tokenizer process had nothing to do')), IDLE_MS)
    this.idle.unref()
  }

  private fail(reason: unknown): void {
    if (this.failure !== undefined) return
    this.failure = { reason }
    clearTimeout(this.idle)
    this.onEnd()
    this.child.unref()
    this.child.channel?.unref()
    for (const one of this.waiting.values()) one.reject(reason)
    this.waiting.clear()
  }

  private describeExit(code: number | null, signal: NodeJS.Signals | null): Error {
    const [current] = this.waiting.values()
    const numCharacters = current?.numCharacters ?? 0
    const { seconds, megabytes } = this.isLoaded ? budgetOf(numCharacters, this.base) : loadBudget(this.spec)
    const limits: Readonly<Record<string, string>> = {
      [OVERTIME_SIGNAL]: `more than ${seconds.toFixed(0)} s of processor time`,
      [OVERSIZE_SIGNAL]: `more than ${megabytes.toFixed(0)} MB of memory`,
    }
    const limit = limits[signal ?? '']
    const file = printable(this.spec.file)
    const work = this.isLoaded ? `tokenising ${numCharacters} characters` : 'loading the tokenizer'
    const context = { file: this.spec.file }
    if (CRASHES.includes(signal)) {
      // The library ends so when a pattern takes more steps than it allows.
      const said = `${file}: the tokenizer's library crashed (${signal}) while ${work}; its patterns do not fit the text, or are made to harm: use another tokenizer`
      return new HostileFileError('TOKENIZER_CRASH', said, context)
    }
    if (limit === undefined) {
      const how = signal === null ? `code ${code}` : signal
      return new ResourceError('TOKENIZER_FAILED', `${file}: the tokenizer process ended with ${how}`)
    }
    const said = `${file}: ${work} took ${limit}; its patterns or normalisers do not fit the text, or are made to harm: use another tokenizer`
    return new HostileFileError('TOKENIZER_BUDGET', said, context)
  }
}

/** For the largest tokenizers in use, 35 MB of JSON, loading takes some 3 s and 1 GB. */
function loadBudget({ json }: NativeSpec): TokenizerBudget {
  return { seconds: 60, megabytes: 1024 + 1e-4 * json.length }
}

function startFailed(error: Error): ResourceError {
  const said = `the tokenizer process cannot be started: ${printable(error.message)}`
  return new ResourceError('TOKENIZER_FAILED', said, {}, { cause: error })
}

function charactersOf<M extends keyof TokenizerCalls>(method: M, input: TokenizerCalls[M]['input']): number {
  if (method === 'decode') return TOKEN_CHARACTERS * (input as TokenizerCalls['decode']['input']).ids.length
  const texts = input as readonly (string | CompletionText | MarkedText)[]
  return texts.reduce((sum, one) => {
    if (typeof one === 'string') return sum + one.length
    return sum + ('text' in one ? one.text.length : one.prompt.length + one.completion.length)
  }, 0)
}
