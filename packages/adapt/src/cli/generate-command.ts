import { buildInfo } from '@adapt-ts/torch'
import { locateModel, openModel } from '../experiment/index.js'
import { type FinishReason, type GenerateOptions, generateTokens, streamText } from '../generate/index.js'
import { type CausalLM, readStopTokens } from '../model/index.js'
import { assertTokenizerFits, loadTokenizer, type Tokenizer } from '../tokenize/index.js'
import type { CliIo } from './cli-io.js'

export interface GenerateCommandOptions {
  readonly model: string
  readonly adapter?: string
  readonly prompt?: string
  readonly maxNewTokens: number
  readonly temperature: number
  readonly topP: number
  readonly topK: number
  readonly seed: number
  readonly dtype: 'float32' | 'bfloat16' | 'auto'
  readonly json?: boolean
}

/** `adapt generate --model DIR`: continues a prompt, token by token as they come. */
export async function generateCommand(options: GenerateCommandOptions, io: CliIo): Promise<void> {
  const places = await locateModel(options.model, options.adapter, {
    onLine: (line) => io.stderr.write(`${line}\n`),
  })
  const tokenizer = loadTokenizer(places.tokenizer)
  const prompt = options.prompt ?? (await readStdin())
  using model = openModel(places, { dtype: options.dtype })
  assertTokenizerFits(tokenizer, model.config.vocabSize)
  const isBf16 = model.headWeight.dtype === 'bfloat16' && buildInfo().hasBf16
  const { maxNewTokens, temperature, topP, topK, seed } = options
  const generation = {
    ...{ maxNewTokens, temperature, topP, topK, seed },
    stopIds: [tokenizer.eosId, ...readStopTokens(places.model)],
    autocastDtype: isBf16 ? ('bfloat16' as const) : undefined,
  }
  const [ids] = await tokenizer.encodeBatch([prompt])
  const answer = await writeText(model, tokenizer, [tokenizer.startId, ...ids!], generation, (piece) => {
    if (options.json !== true) io.stdout.write(piece)
  })
  io.stdout.write(options.json === true ? `${JSON.stringify({ prompt, ...answer }, null, 2)}\n` : '\n')
}

async function writeText(
  model: CausalLM,
  tokenizer: Tokenizer,
  prompt: readonly number[],
  options: GenerateOptions,
  onPiece: (piece: string) => void,
): Promise<{ text: string; token_ids: readonly number[]; finish_reason: FinishReason }> {
  let text = ''
  const stream = streamText(generateTokens(model, prompt, options), tokenizer)
  for (let next = await stream.next(); ; next = await stream.next()) {
    if (next.done) return { text, token_ids: next.value.ids, finish_reason: next.value.reason }
    text += next.value
    onPiece(next.value)
  }
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8').replace(/\n$/, '')
}
