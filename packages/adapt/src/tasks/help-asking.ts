import type { DType } from '@adapt-ts/torch'
import type { TextPrompt } from '../generate/index.js'
import type { CausalLM } from '../model/index.js'
import { isToldToAll, type Ranks } from '../ranks.js'
import type { Tokenizer } from '../tokenize/index.js'
import type { ScoredText } from './plan-trees.js'
import { scoreTexts } from './score-texts.js'
import { type WriteAnswersOptions, writeAnswers } from './write-answers.js'

/** What rank 0, which alone has the requests, asks the others to do with it. Tokens are int32 in base64. */
type Call =
  | { readonly kind: 'end' }
  | {
      readonly kind: 'score'
      readonly texts: readonly (readonly [input: string, targets: string])[]
      readonly maxPositions: number
    }
  | {
      readonly kind: 'write'
      readonly prompts: readonly (Omit<TextPrompt, 'tokens'> & { readonly tokens: string })[]
      readonly options: Pick<WriteAnswersOptions, 'temperature' | 'maxPositions' | 'maxCachedPositions'>
    }

/** Rank 0: the others score these texts too, by `scoreTexts` with the same ranks. */
export async function callToScore(
  ranks: Ranks,
  texts: readonly ScoredText[],
  maxPositions: number,
): Promise<void> {
  await send(ranks, () => ({
    kind: 'score',
    texts: texts.map(({ input, targets }) => [toBase64(input), toBase64(targets)] as const),
    maxPositions,
  }))
}

/** Rank 0: the others write these answers too, by `writeAnswers` with the same ranks. */
export async function callToWrite(
  ranks: Ranks,
  prompts: readonly TextPrompt[],
  { temperature, maxPositions, maxCachedPositions }: WriteAnswersOptions,
): Promise<void> {
  await send(ranks, () => ({
    kind: 'write',
    prompts: prompts.map((prompt) => ({ ...prompt, tokens: toBase64(Int32Array.from(prompt.tokens)) })),
    options: { temperature, maxPositions, maxCachedPositions },
  }))
}

/** Rank 0: nothing more is asked. */
export async function endCalls(ranks: Ranks): Promise<void> {
  await send(ranks, () => ({ kind: 'end' }))
}

/** Characters that go out at once: each rank has room for so many of every other. */
const SLICE = 1 << 22

async function send(ranks: Ranks, call: () => Call): Promise<void> {
  if (ranks.worldSize === 1) return
  const text = JSON.stringify(call())
  const numSlices = Math.ceil(text.length / SLICE)
  await ranks.fromFirst(() => numSlices)
  for (let i = 0; i < numSlices; i++) await ranks.fromFirst(() => text.slice(i * SLICE, (i + 1) * SLICE))
}

async function receive(ranks: Ranks): Promise<Call> {
  const numSlices = await ranks.fromFirst(() => 0)
  let text = ''
  for (let i = 0; i < numSlices; i++) text += await ranks.fromFirst(() => '')
  return JSON.parse(text) as Call
}

/** The other ranks: do what rank 0 calls for, with the same model, until it calls for no more. What goes wrong with one call, rank 0 reports. */
export async function answerCalls(
  model: CausalLM,
  tokenizer: Tokenizer,
  ranks: Ranks,
  autocastDtype: DType | undefined,
): Promise<void> {
  for (;;) {
    const call = await receive(ranks)
    if (call.kind === 'end') return
    try {
      await answer(call, model, tokenizer, { ranks, autocastDtype })
    } catch (error) {
      if (!isToldToAll(error)) throw error
    }
  }
}

async function answer(
  call: Exclude<Call, { kind: 'end' }>,
  model: CausalLM,
  tokenizer: Tokenizer,
  shared: { readonly ranks: Ranks; readonly autocastDtype: DType | undefined },
): Promise<void> {
  if (call.kind === 'score') {
    const texts = call.texts.map(([input, targets]) => ({
      input: fromBase64(input),
      targets: fromBase64(targets),
    }))
    await scoreTexts(model, texts, { maxPositions: call.maxPositions, ...shared })
  } else {
    const prompts = call.prompts.map((prompt) => ({ ...prompt, tokens: fromBase64(prompt.tokens) }))
    await writeAnswers(model, tokenizer, prompts, { ...call.options, ...shared }, () => {})
  }
}

const toBase64 = ({ buffer, byteOffset, byteLength }: Int32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64')

function fromBase64(text: string): Int32Array {
  const bytes = Buffer.from(text, 'base64')
  return new Int32Array(Uint8Array.from(bytes).buffer)
}
