import { type ChatContent, type ChatMessage, printable } from '../dataset/index.js'
import { createDocumentEncoder } from './document-encoder.js'
import { idOfToken, isLabel, labelRuns } from './marked-token.js'
import type { Tokenizer } from './tokenizer.js'

/** Where the answers of a chat template end. */
export interface TurnEnds {
  /** Added tokens that end an answer: there a program that generates can stop. */
  readonly ids: readonly number[]
  /** What ends an answer as text where no added token does. */
  readonly text: string | undefined
  /** What keeps a model from stopping, as lines. */
  readonly warnings: readonly string[]
}

/** Words that no template writes by itself. */
const WORDS = 'quite so indeed'
const question: ChatMessage = { role: 'user', content: 'a' }
const answer: ChatMessage = { role: 'assistant', content: WORDS }
const CALL_ID = 'abcdefghi'
const called = { name: 'look', arguments: { at: 'b' } }
const call = (content: string | null): ChatMessage[] => [
  question,
  { role: 'assistant', content, tool_calls: [{ id: CALL_ID, type: 'function', function: called }] },
]
const TOOLS = [
  {
    type: 'function',
    function: { name: 'look', description: 'c', parameters: { type: 'object', properties: {} } },
  },
]
const TOOL_ANSWER: ChatMessage = { role: 'tool', name: 'look', content: 'd', tool_call_id: CALL_ID }

const chat = (messages: readonly ChatMessage[]): ChatContent => ({ kind: 'chat', messages })
/** An answer at the end of a conversation, one within it; templates end them in other ways. */
const ANSWERS = [chat([question, answer]), chat([question, answer, question, answer])].flatMap((one) => [
  one,
  { ...one, tools: TOOLS },
])
/** Calls of tools end with a token of their own in some. */
const CALLS = [call(''), call(null)].flatMap((messages) => [
  { ...chat(messages), tools: TOOLS },
  { ...chat([...messages, TOOL_ANSWER, answer]), tools: TOOLS },
])

const withSystem = (one: ChatContent): ChatContent => ({
  ...one,
  messages: [{ role: 'system', content: 'e' }, ...one.messages],
})

/**
 * Finds the tokens at which the answers of a tokenizer's chat template end, by rendering small conversations in a
 * thread that can be ended.
 * @throws {ConfigError} CHAT_TEMPLATE_MISSING, or a template that is wrong. @throws {HostileFileError} CHAT_TEMPLATE_BUDGET.
 */
export async function findTurnEnds(tokenizer: Tokenizer): Promise<TurnEnds> {
  // Where an answer ends shows in what of it is trained.
  const masked: Tokenizer = { ...tokenizer, chat: { ...tokenizer.chat, assistantOnlyLoss: true } }
  const encoder = createDocumentEncoder(masked, 0)
  try {
    let encoded = await encoder.encode([...ANSWERS, ...CALLS])
    // Some templates take conversations with a system message only.
    const isRefused = encoded.refused.length === ANSWERS.length + CALLS.length
    if (isRefused) encoded = await encoder.encode([...ANSWERS, ...CALLS].map(withSystem))
    const refusals = new Map(encoded.refused.map(({ document, problem }) => [document, problem]))
    const ids = new Set<number>()
    const untrained = new Set<number>()
    let open: Int32Array | undefined
    let at = 0
    for (const [i, length] of encoded.lengths.entries()) {
      const tokens = encoded.tokens.subarray(at, at + length)
      at += length
      const isAnswer = i < ANSWERS.length
      // A mark within an answer would be taken for its end where the template has no such end.
      if (length === 0 || (!isAnswer && ids.size + untrained.size === 0)) continue
      for (const [start, end] of answersOf(tokens)) {
        const inside = await tokensFrom(tokenizer, tokens, end - 1, -1)
        const isBare = (await tokenizer.decode(tokens.subarray(start, end).map(idOfToken))).endsWith(WORDS)
        const outside = isBare ? await tokensFrom(tokenizer, tokens, end, 1) : []
        // Marks within a call are no ends: only its last token is.
        for (const id of isAnswer ? inside : inside.slice(0, 1)) ids.add(id)
        if (inside.length > 0 || !isAnswer) continue
        if (outside[0] !== undefined) untrained.add(outside[0])
        else open ??= tokens
      }
    }
    if (ANSWERS.every((_, i) => refusals.has(i))) return unknownEnds(tokenizer, refusals.get(0)!)
    const all = [...new Set([...ids, ...untrained])]
    if (open === undefined) {
      return { ids: all, text: undefined, warnings: await untrainedEnds(tokenizer, [...untrained]) }
    }
    const text = await textBehind(tokenizer, open)
    return { ids: all, text: text || undefined, warnings: [await openEnd(tokenizer, text)] }
  } finally {
    await encoder.close()
  }
}

/** The runs of labels, [start, end). */
function answersOf(tokens: Int32Array): [number, number][] {
  return labelRuns(tokens).map((start) => {
    const length = tokens.subarray(start).findIndex((token) => !isLabel(token))
    return [start, length < 0 ? tokens.length : start + length]
  })
}

/** The added tokens, eos among them, from a place on, white space passed over, up to the first other token. */
async function tokensFrom(
  { addedIds, eosId, decode }: Tokenizer,
  tokens: Int32Array,
  from: number,
  step: 1 | -1,
): Promise<number[]> {
  const found: number[] = []
  for (let i = from; i >= 0 && i < tokens.length; i += step) {
    const id = idOfToken(tokens[i]!)
    if (addedIds.has(id) || id === eosId) found.push(id)
    else if ((await decode([id])).trim() !== '') break
  }
  return found
}

/** What the template writes behind the last answer; empty where that is nothing but white space. */
async function textBehind(tokenizer: Tokenizer, tokens: Int32Array): Promise<string> {
  const text = await tokenizer.decode(tokens.map(idOfToken))
  const start = text.lastIndexOf(WORDS)
  return start < 0 ? '' : text.slice(start + WORDS.length).trim()
}

const where = ({ chat: { template } }: Tokenizer) => printable(template?.where ?? 'the chat template')

async function openEnd(tokenizer: Tokenizer, text: string): Promise<string> {
  if (text === '') {
    return `${where(tokenizer)}: writes nothing behind an answer, so a model does not learn where to stop; set data.chat_template to a template that ends its turns`
  }
  const [ids] = await tokenizer.encodeBatch([text])
  const shown = `"${printable(text, 60)}"`
  const what = ids!.length === 1 ? 'a token of ordinary text' : `${ids!.length} tokens of ordinary text`
  return `${where(tokenizer)}: ends an answer with ${shown}, which is ${what} in this tokenizer: transformers and vLLM will not stop there; set data.chat_template to a template that ends with a token of the tokenizer, or add ${shown} to it`
}

async function untrainedEnds(tokenizer: Tokenizer, ids: readonly number[]): Promise<string[]> {
  if (ids.length === 0 || !tokenizer.chat.assistantOnlyLoss) return []
  const shown = printable(await tokenizer.decode(ids), 60)
  return [
    `${where(tokenizer)}: "${shown}" ends an answer outside of {% generation %}, so a model does not learn to write it; put it inside`,
  ]
}

function unknownEnds(tokenizer: Tokenizer, problem: string): TurnEnds {
  const line = `${where(tokenizer)}: cannot tell where an answer ends (${printable(problem, 300)}); see that generation_config.json of the model stops there`
  return { ids: [], text: undefined, warnings: [line] }
}
