import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import {
  type DataRow,
  isObject,
  type JsonValue,
  jsonText,
  printable,
  promptOf,
  type RecordPrompt,
} from '../../dataset/index.js'
import { makeFolder } from '../../dataset/make-folder.js'
import { syncPath } from '../../dataset/sync-path.js'
import { writeFully } from '../../dataset/write-fully.js'
import { AdaptError, ConfigError, DataError, EXIT } from '../../errors.js'
import { type FinishReason, generateTexts } from '../../generate/index.js'
import { mixSeeds } from '../../model/index.js'
import { explainMemory, passLimits } from '../../open/index.js'
import { StopRequest } from '../../run/stop-request.js'
import { ResponseStore, responseKey } from '../../tasks/index.js'
import type { Tokenizer } from '../../tokenize/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { formatCount } from '../terminal/render-table.js'
import type { GenerateCommandOptions } from './generate-options.js'
import { type Chat, encodeText, type Generator, openGenerator } from './open-generator.js'
import { readPromptRows } from './read-prompt-rows.js'

/** Between two lines on how far it is. */
const LINE_MS = 2000

interface Completion {
  readonly text: string
  readonly reason: FinishReason
}

/** A record with what the model reads of it. */
interface Asked {
  readonly row: DataRow
  readonly where: string
  readonly tokens: ArrayLike<number>
}

/**
 * `adapt generate --prompts FILE --output FILE`: answers every record, many at once. The output appears when it is whole; what a stopped
 * command wrote stands beside it, and the same command goes on from there.
 */
export async function generateFile(options: GenerateCommandOptions, io: CliIo): Promise<void> {
  const { output = '', completionField = 'completion', overwrite } = options
  requireOutput(output, overwrite === true)
  using stop = new StopRequest()
  const rows = await readPromptRows(options.prompts!)
  requireNotRead(output, rows)
  const opened = await openGenerator(options, io, (tokenizer, chat) =>
    askAll(rows, { tokenizer, chat, options, completionField }),
  )
  stop.watchNatively()
  const { checked: asked, device, remedies } = opened
  using model = opened.model
  for (const { tokens, where } of asked) requireRoom(tokens, where, model.config.maxPositionEmbeddings)
  const partial = `${output}.partial`
  const store = new ResponseStore<Completion>(partial)
  try {
    const keys = await answerAll(asked, opened, { store, stop, io, partial })
    writeOutput(output, asked, (i) => store.get(keys[i]!)!, completionField)
  } catch (error) {
    throw explainMemory(error, 'the answers', device, remedies)
  }
  rmSync(partial)
  io.stderr.line(`${formatCount(asked.length)} answers: ${printable(output)}`)
}

async function answerAll(
  asked: readonly Asked[],
  { model, tokenizer, generation, stopText, modelKey }: Generator,
  {
    store,
    stop,
    io,
    partial,
  }: {
    readonly store: ResponseStore<Completion>
    readonly stop: StopRequest
    readonly io: CliIo
    readonly partial: string
  },
): Promise<readonly string[]> {
  const { maxNewTokens, seed = 0, autocastDtype, ...sampling } = generation
  const prompts = asked.map(({ tokens }, i) => ({
    tokens,
    ...(maxNewTokens === undefined ? {} : { maxNewTokens }),
    // A greedy answer has no draws: equal prompts are one.
    seed: sampling.temperature === 0 ? 0 : mixSeeds(seed, i),
    until: stopText === undefined ? [] : [stopText],
  }))
  const keys = prompts.map(({ tokens, ...more }) =>
    responseKey({ model: modelKey, kind: 'generate', tokens, more: [more, sampling] }),
  )
  const timesOf = new Map<string, number>()
  for (const key of keys) timesOf.set(key, (timesOf.get(key) ?? 0) + 1)
  const pending = [...new Map(keys.map((key, i) => [key, i])).values()].filter(
    (i) => store.get(keys[i]!) === undefined,
  )
  let done = keys.filter((key) => store.get(key) !== undefined).length
  if (done > 0) io.stderr.line(`goes on: ${formatCount(done)} of ${formatCount(keys.length)} were answered`)
  let lastLine = Date.now()
  await generateTexts(
    model,
    tokenizer,
    pending.map((i) => prompts[i]!),
    {
      ...sampling,
      autocastDtype,
      ...passLimits(model, autocastDtype),
      onStep() {
        if (stop.requested) throw stopped(partial)
      },
      onText(place, { text, reason }) {
        const key = keys[pending[place]!]!
        store.add([[key, { text, reason }]])
        done += timesOf.get(key)!
        if (Date.now() - lastLine < LINE_MS) return
        lastLine = Date.now()
        io.stderr.line(`${formatCount(done)} of ${formatCount(keys.length)} answers`)
      },
    },
  )
  return keys
}

/** What each record asks. @throws {DataError} with file, line and field. */
async function askAll(
  rows: readonly DataRow[],
  {
    tokenizer,
    chat,
    options: { system, promptField },
    completionField,
  }: {
    readonly tokenizer: Tokenizer
    readonly chat: Chat | undefined
    readonly options: GenerateCommandOptions
    readonly completionField: string
  },
): Promise<readonly Asked[]> {
  const asked: Asked[] = []
  for (const row of rows) {
    const where = `${printable(row.path)}:${row.line}`
    const fail = (code: string, problem: string): never => {
      throw new DataError(code, `${where}: ${problem}`, { file: row.path, line: row.line })
    }
    const { value } = row
    if (!isObject(value)) fail('BAD_JSON', 'expected an object with the fields of a record')
    for (const name of namesOfAnswer(completionField)) {
      if (fieldNames(value).includes(name))
        fail(
          'BAD_FIELD',
          `expected no field "${printable(name)}", which the answer gets; name another by --completion-field`,
        )
    }
    const prompt = promptOf(value as Readonly<Record<string, unknown>>, promptField, fail)
    try {
      asked.push({ row, where, tokens: await encode(prompt, { tokenizer, chat, system, fail }) })
    } catch (error) {
      if (!(error instanceof DataError) || error.message.startsWith(where)) throw error
      fail(error.code, error.message)
    }
  }
  return asked
}

async function encode(
  { text, chat: { messages, tools, variables } }: RecordPrompt,
  {
    tokenizer,
    chat,
    system,
    fail,
  }: {
    readonly tokenizer: Tokenizer
    readonly chat: Chat | undefined
    readonly system: string | undefined
    readonly fail: (code: string, problem: string) => never
  },
): Promise<ArrayLike<number>> {
  if (chat === undefined) {
    if (text === undefined || messages.length > 1 || tools !== undefined || variables !== undefined)
      fail(
        'NO_CHAT_TEMPLATE',
        'expected a prompt of text alone: messages are written by a chat template, and there is none',
      )
    return await encodeText(tokenizer, text!)
  }
  const isOwn = messages.some(({ role }) => role === 'system' || role === 'developer')
  if (system !== undefined && isOwn)
    fail('BAD_FIELD', 'expected no system message of its own beside --system; leave one of the two out')
  const all = system === undefined ? messages : [{ role: 'system', content: system }, ...messages]
  const conversation = { messages: all, ...(tools && { tools }), ...(variables && { variables }) }
  return (await tokenizer.encodeBatch([chat.render(conversation)]))[0]!
}

function requireRoom({ length }: ArrayLike<number>, where: string, most: number): void {
  if (length > 0 && length < most) return
  throw new DataError(
    length === 0 ? 'EMPTY_PROMPT' : 'PROMPT_TOO_LONG',
    `${where}: expected a prompt of 1 to ${most - 1} tokens, received ${length}; the model was made for ${most} in all`,
  )
}

function requireOutput(output: string, overwrite: boolean): void {
  if (!existsSync(output)) return
  if (statSync(output).isDirectory())
    throw new ConfigError('NOT_A_FILE', `--output: expected a file, received the folder ${printable(output)}`)
  if (!overwrite)
    throw new ConfigError(
      'OUTPUT_EXISTS',
      `${printable(output)}: exists; choose another file or pass --overwrite`,
    )
}

/** The output never takes the place of what it is made of. */
function requireNotRead(output: string, rows: readonly DataRow[]): void {
  if (!existsSync(output)) return
  const place = realpathSync(output)
  const own = [...new Set(rows.map(({ path }) => path))].find(
    (path) => existsSync(path) && realpathSync(path) === place,
  )
  if (own === undefined) return
  throw new ConfigError(
    'INPUT_IN_OUTPUT',
    `--output: expected another file than the prompts of ${printable(own)}; choose another`,
  )
}

function stopped(partial: string): AdaptError {
  return new AdaptError(
    'GENERATION_CANCELLED',
    EXIT.resumable,
    `what was answered is kept; the same command goes on from ${printable(partial)}`,
  )
}

const namesOfAnswer = (field: string): readonly [string, string] => [field, `${field}_finish_reason`]

const fieldNames = (value: JsonValue): readonly string[] =>
  value instanceof Map ? [...(value as ReadonlyMap<string, JsonValue>).keys()] : Object.keys(value as object)

/** Every record with its answer, in the order of the files; whole or not there. */
function writeOutput(
  output: string,
  asked: readonly Asked[],
  completionOf: (index: number) => Completion,
  field: string,
): void {
  makeFolder(dirname(resolve(output)))
  const temporary = `${output}.${process.pid}`
  const handle = openSync(temporary, 'w')
  try {
    for (const [i, { row }] of asked.entries()) {
      const { text, reason } = completionOf(i)
      const record = row.value as ReadonlyMap<string, JsonValue> | Readonly<Record<string, JsonValue>>
      const fields = record instanceof Map ? [...record] : Object.entries(record)
      const [name, reasonName] = namesOfAnswer(field)
      const line = new Map<string, JsonValue>([...fields, [name, text], [reasonName, reason]])
      writeFully(handle, Buffer.from(`${jsonText(line)}\n`))
    }
    fsyncSync(handle)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  } finally {
    closeSync(handle)
  }
  renameSync(temporary, output)
  syncPath(dirname(resolve(output)))
}
