import { createInterface } from 'node:readline/promises'
import { compileChatTemplate, renderPrompt } from '../../chat-template/index.js'
import { type ChatMessage, printable } from '../../dataset/index.js'
import { AdaptError } from '../../errors.js'
import { type FinishReason, type GenerateOptions, generateTokens, streamText } from '../../generate/index.js'
import { readStopTokens } from '../../model/index.js'
import {
  chooseDevice,
  explainMemory,
  hasBf16,
  loadModel,
  locateModel,
  withMemoryAdvice,
  withTokenizer,
} from '../../open/index.js'
import {
  assertTokenizerFits,
  findTurnEnds,
  holdsStart,
  loadTokenizer,
  type Tokenizer,
  type TurnEnds,
} from '../../tokenize/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'

export interface GenerateCommandOptions {
  readonly model: string
  readonly adapter?: string
  readonly tokenizer?: string
  readonly prompt?: string
  readonly system?: string
  readonly chatTemplate?: string
  readonly raw?: boolean
  readonly maxNewTokens: number
  readonly temperature: number
  readonly topP: number
  readonly topK: number
  readonly seed: number
  readonly device?: string
  readonly dtype: 'float32' | 'bfloat16' | 'auto'
  readonly json?: boolean
}

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
  const onLine = (line: string) => io.stderr.line(line)
  const found = await locateModel(options.model, options.adapter, { onLine })
  const places = await withTokenizer(found, options.tokenizer, { onLine })
  const configured = options.chatTemplate
  const tokenizer = loadTokenizer(places.tokenizer, configured === undefined ? {} : { configured })
  const chat = options.raw === true ? undefined : openChat(tokenizer)
  const converses = chat !== undefined && options.prompt === undefined && process.stdin.isTTY === true
  const prompt = converses ? '' : (options.prompt ?? (await readStdin()))
  const { device, line: deviceLine } = chooseDevice(options.device, { key: '--device' })
  onLine(deviceLine)
  const remedies = ['--dtype bfloat16', 'a shorter prompt', 'another --device']
  using model = withMemoryAdvice('loading the model', device, remedies, () =>
    loadModel(places, { dtype: options.dtype, device }),
  )
  assertTokenizerFits(tokenizer, model.config.vocabSize)
  const isBf16 = model.headWeight.dtype === 'bfloat16' && hasBf16(device)
  const folder = places.adapter ?? places.model
  const ends = chat && (await findTurnEnds(tokenizer))
  const stated = [folder, places.model].map(readStopTokens).find((ids) => ids.length > 0) ?? []
  const unstated = [tokenizer.eosId, ...(ends?.ids ?? [])].filter((id) => !stated.includes(id))
  for (const line of await describeEnds(tokenizer, folder, ends, unstated))
    io.stderr.write(`warning: ${line}\n`)
  const { maxNewTokens, temperature, topP, topK, seed } = options
  const generation: GenerateOptions = {
    ...{ maxNewTokens, temperature, topP, topK, seed },
    stopIds: [...stated, ...unstated],
    autocastDtype: isBf16 ? 'bfloat16' : undefined,
  }
  const write = (piece: string) => (options.json === true ? undefined : io.stdout.writeData(piece))
  const answer = async (ids: ArrayLike<number>, isOver = () => false): Promise<Answer> => {
    const tokens = until(isOver, generateTokens(model, ids, generation))
    try {
      return await writeAnswer(tokens, tokenizer, ends?.text, write)
    } catch (error) {
      throw explainMemory(error, 'the answer', device, remedies)
    }
  }
  const system: ChatMessage[] =
    options.system === undefined ? [] : [{ role: 'system', content: options.system }]
  if (converses) {
    await converse(
      system,
      async (messages, isOver) => (await answer(await chat.encode(messages), isOver)).text,
      io,
    )
    return
  }
  const ids = chat
    ? await chat.encode([...system, { role: 'user', content: prompt }])
    : await encodeText(tokenizer, prompt)
  const result = await answer(ids)
  io.stdout.write(options.json === true ? `${renderJson({ prompt, ...result })}\n` : '\n')
}

/** Plain text as transformers would give it to the model: behind bos, where the tokenizer has one. */
async function encodeText(tokenizer: Tokenizer, prompt: string): Promise<readonly number[]> {
  const [ids] = await tokenizer.encodeBatch([prompt])
  if (holdsStart(ids!, tokenizer)) return [...ids!]
  const startsWithBos = tokenizer.startId === tokenizer.bosId
  return startsWithBos || ids!.length === 0 ? [tokenizer.startId, ...ids!] : [...ids!]
}

/** A conversation by the rules of a tokenizer's template. */
interface Chat {
  /** Tokens of the messages and of the beginning of the next answer. */
  encode(messages: readonly ChatMessage[]): Promise<ArrayLike<number>>
}

/** Undefined for a tokenizer without a template. */
function openChat(tokenizer: Tokenizer): Chat | undefined {
  const { template, specialTokens } = tokenizer.chat
  if (template === undefined) return undefined
  const compiled = compileChatTemplate(template.source, template.where)
  return {
    async encode(messages) {
      const text = renderPrompt(compiled, { messages }, specialTokens)
      return (await tokenizer.encodeBatch([text]))[0]!
    },
  }
}

/** What stops an answer here, but not in programs that know the model's folder alone. */
async function describeEnds(
  tokenizer: Tokenizer,
  folder: string,
  ends: TurnEnds | undefined,
  unstated: readonly number[],
): Promise<readonly string[]> {
  const lines = [...(ends?.warnings ?? [])]
  const missing = ends === undefined ? unstated : unstated.filter((id) => ends.ids.includes(id))
  if (missing.length > 0) {
    const shown = await Promise.all(
      missing.map(async (id) => `"${printable(await tokenizer.decode([id]), 40)}" (${id})`),
    )
    lines.push(
      `${printable(folder)}: its eos_token_id lacks ${shown.join(', ')}, where an answer ends: it stops there here, but not in transformers or vLLM`,
    )
  }
  return lines
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
