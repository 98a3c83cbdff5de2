import { compileChatTemplate, renderPrompt } from '../../chat-template/index.js'
import { type ChatContent, type ChatMessage, printable } from '../../dataset/index.js'
import type { GenerateOptions } from '../../generate/index.js'
import { type CausalLM, readStopTokens } from '../../model/index.js'
import {
  chooseDevice,
  hasBf16,
  loadModel,
  locateModel,
  modelKeyOf,
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
import type { GenerateCommandOptions } from './generate-options.js'

/** A conversation by the rules of a tokenizer's template. */
export interface Chat {
  /** The messages and the beginning of the next answer. */
  render(conversation: Pick<ChatContent, 'messages' | 'tools' | 'variables'>): string
}

/** Who answers. The caller frees the model. */
export interface Generator {
  readonly model: CausalLM
  readonly tokenizer: Tokenizer
  /** Undefined where prompts are continued as they are. */
  readonly chat: Chat | undefined
  /** Text that ends an answer where no single token does. */
  readonly stopText: string | undefined
  readonly generation: GenerateOptions
  readonly device: string
  /** What helps where memory is short. */
  readonly remedies: readonly string[]
  /** Tells this model and its precision from others. */
  readonly modelKey: string
}

/**
 * Finds the tokenizer and then, once `check` has had it, the model.
 * @param check  Looks at prompts before a model is loaded for them.
 */
export async function openGenerator<Checked>(
  options: GenerateCommandOptions,
  io: CliIo,
  check: (tokenizer: Tokenizer, chat: Chat | undefined) => Promise<Checked>,
): Promise<Generator & { readonly checked: Checked }> {
  const onLine = (line: string) => io.stderr.line(line)
  const found = await locateModel(options.model, options.adapter, { onLine })
  const places = await withTokenizer(found, options.tokenizer, { onLine })
  const configured = options.chatTemplate
  const tokenizer = loadTokenizer(places.tokenizer, configured === undefined ? {} : { configured })
  const chat = options.raw === true ? undefined : openChat(tokenizer)
  const checked = await check(tokenizer, chat)
  const { device, line: deviceLine } = chooseDevice(options.device, { key: '--device' })
  onLine(deviceLine)
  const remedies = ['--dtype bfloat16', 'a shorter prompt', 'another --device']
  const model = withMemoryAdvice('loading the model', device, remedies, () =>
    loadModel(places, { dtype: options.dtype, device }),
  )
  try {
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
    const precision = `${device} ${model.headWeight.dtype} ${generation.autocastDtype ?? 'float32'}`
    const modelKey = modelKeyOf(places, tokenizer, precision)
    return { model, tokenizer, chat, stopText: ends?.text, generation, device, remedies, modelKey, checked }
  } catch (error) {
    model.dispose()
    throw error
  }
}

/** Plain text as transformers would give it to the model: behind bos, where the tokenizer has one. */
export async function encodeText(tokenizer: Tokenizer, prompt: string): Promise<readonly number[]> {
  const [ids] = await tokenizer.encodeBatch([prompt])
  if (holdsStart(ids!, tokenizer)) return [...ids!]
  const startsWithBos = tokenizer.startId === tokenizer.bosId
  return startsWithBos || ids!.length === 0 ? [tokenizer.startId, ...ids!] : [...ids!]
}

/** Tokens of messages and of the beginning of the next answer. */
export async function encodeMessages(
  tokenizer: Tokenizer,
  chat: Chat,
  messages: readonly ChatMessage[],
): Promise<ArrayLike<number>> {
  return (await tokenizer.encodeBatch([chat.render({ messages })]))[0]!
}

/** Undefined for a tokenizer without a template. */
function openChat(tokenizer: Tokenizer): Chat | undefined {
  const { template, specialTokens } = tokenizer.chat
  if (template === undefined) return undefined
  const compiled = compileChatTemplate(template.source, template.where)
  return { render: (conversation) => renderPrompt(compiled, conversation, specialTokens) }
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
