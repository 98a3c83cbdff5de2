import { createInterface } from 'node:readline/promises'
import type { ChatMessage } from '../../dataset/index.js'
import { AdaptError, ConfigError } from '../../errors.js'
import { type FinishReason, generateTokens, streamText } from '../../generate/index.js'
import { explainMemory } from '../../open/index.js'
import type { Tokenizer } from '../../tokenize/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import type { GenerateCommandOptions } from './generate-options.js'
import { encodeMessages, encodeText, openGenerator } from './open-generator.js'

/** What the model said, with the names that servers of language models use. */
interface Answer {
  readonly text: string
  readonly token_ids: readonly number[]
  readonly finish_reason: FinishReason
}

/**
 * `adapt generate --model DIR`: answers a prompt token by token as they come; in a terminal without `--prompt`, one
 * turn of a conversation after the other.
 */
export async function generateCommand(options: GenerateCommandOptions, io: CliIo): Promise<void> {
  refuseIdleOptions(options)
  if (options.prompts !== undefined) {
    const { generateFile } = await import('./generate-file.js')
    await generateFile(options, io)
    return
  }
  const opened = await openGenerator(options, io, async (_, chat) => {
    const converses = chat !== undefined && options.prompt === undefined && process.stdin.isTTY === true
    return { converses, prompt: converses ? '' : (options.prompt ?? (await readStdin())) }
  })
  const { tokenizer, chat, stopText, generation, device, remedies } = opened
  const { converses, prompt } = opened.checked
  using model = opened.model
  const write = (piece: string) => (options.json === true ? undefined : io.stdout.writeData(piece))
  const answer = async (ids: ArrayLike<number>, isOver = () => false): Promise<Answer> => {
    const tokens = until(isOver, generateTokens(model, ids, generation))
    try {
      return await writeAnswer(tokens, tokenizer, stopText, write)
    } catch (error) {
      throw explainMemory(error, 'the answer', device, remedies)
    }
  }
  const system: ChatMessage[] =
    options.system === undefined ? [] : [{ role: 'system', content: options.system }]
  if (converses) {
    await converse(
      system,
      async (messages, isOver) =>
        (await answer(await encodeMessages(tokenizer, chat!, messages), isOver)).text,
      io,
    )
    return
  }
  const ids = chat
    ? await encodeMessages(tokenizer, chat, [...system, { role: 'user', content: prompt }])
    : await encodeText(tokenizer, prompt)
  const result = await answer(ids)
  io.stdout.write(options.json === true ? `${renderJson({ prompt, ...result })}\n` : '\n')
}

/** What would have no effect is a mistake. */
function refuseIdleOptions(options: GenerateCommandOptions): void {
  const fail = (message: string): never => {
    throw new ConfigError('USAGE', message)
  }
  const { prompts, prompt, output, json, promptField, completionField, overwrite } = options
  if (prompts === undefined) {
    const ofFiles = { output, 'prompt-field': promptField, 'completion-field': completionField, overwrite }
    for (const [flag, value] of Object.entries(ofFiles))
      if (value !== undefined) fail(`--${flag}: expected it with --prompts`)
    return
  }
  if (prompt !== undefined) fail('expected --prompt or --prompts, received both')
  if (json !== undefined) fail('--json: expected it without --prompts, whose answers are lines of JSON')
  if (output === undefined) fail('--output: expected the file for the answers to --prompts, received none')
}

/** Reads a turn, writes the answer, until the end of the input or `/exit`. */
async function converse(
  system: readonly ChatMessage[],
  answer: (messages: readonly ChatMessage[], isOver: () => boolean) => Promise<string>,
  io: CliIo,
): Promise<void> {
  io.stderr.write('a line is a turn; /new begins a new conversation, /exit or Ctrl-D ends\n')
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  terminal.on('SIGINT', () => terminal.close())
  terminal.setPrompt('> ')
  terminal.prompt()
  // Ctrl-C and the end of the input may come during an answer; a prompt after them would wait for ever.
  let isOver = false
  terminal.on('close', () => {
    isOver = true
  })
  let messages = [...system]
  try {
    for await (const line of terminal) {
      if (line.trim() === '/exit') break
      if (line.trim() === '/new') messages = [...system]
      else if (line.trim() !== '') {
        messages.push({ role: 'user', content: line })
        try {
          messages.push({ role: 'assistant', content: await answer(messages, () => isOver) })
        } catch (error) {
          if (!(error instanceof AdaptError && error.code === 'PROMPT_TOO_LONG')) throw error
          io.stderr.write(`${error.message}; /new begins a new conversation`)
          messages.pop()
        }
        io.stdout.write('\n')
      }
      if (isOver) break
      terminal.prompt()
    }
  } finally {
    // Left open it keeps the process alive behind an error, such as a conversation that has become too long.
    terminal.close()
  }
}

/** The tokens up to the moment in which nobody waits for them any more. */
function* until(
  isOver: () => boolean,
  tokens: ReturnType<typeof generateTokens>,
): Generator<number, FinishReason, undefined> {
  for (;;) {
    const next = tokens.next()
    if (next.done) return next.value
    if (isOver()) {
      tokens.return('stop')
      return 'stop'
    }
    yield next.value
  }
}

async function writeAnswer(
  tokens: Generator<number, FinishReason, undefined>,
  tokenizer: Tokenizer,
  end: string | undefined,
  onPiece: (piece: string) => void,
): Promise<Answer> {
  const stream = streamText(tokens, tokenizer, end)
  for (let next = await stream.next(); ; next = await stream.next()) {
    if (next.done) {
      const { text, ids, reason } = next.value
      return { text, token_ids: ids, finish_reason: reason }
    }
    onPiece(next.value)
  }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8').replace(/\n$/, '')
}
