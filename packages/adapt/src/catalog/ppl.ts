/** P samples of the pool, N labelled positions of a batch. */
import { noGrad, scope } from '@adapt-ts/torch'
import { z } from 'zod'
import { buildBatch, likeLengths } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { topFraction } from '../gate/index.js'
import { chunkedTokenLosses, labelledPositions } from '../loss/index.js'
import {
  defineMethod,
  defineSignal,
  oneOf,
  option,
  type PreparationTools,
  SCORED,
  whole,
} from '../method/index.js'
import { type CausalLM, embedTokens, toModelInputs } from '../model/index.js'
import { countTokens } from '../signal/index.js'
import type { TokenizedSample } from '../tokenize/index.js'

/** In the place of a folder: the model of the config before training. */
const BASE = 'base'

interface WindowOptions {
  readonly tokens: 'all' | 'response_only'
  readonly window: number
  readonly stride: number
}

/** Part of a sample that the model sees at once. */
interface Window {
  readonly tokens: Int32Array
  /** 1 for the tokens whose loss is taken here. */
  readonly labelMask: Uint8Array
}

/** s = exp(mean loss of the sample's tokens) under a frozen model. */
export const perplexity = defineSignal({
  kind: 'perplexity',
  about: 'perplexity of the sample under a frozen model, once before training',
  unit: 'sample',
  options: {
    model: option(
      z.string().min(1),
      BASE,
      'Folder of a model with the same tokenizer; base: the model of the config before training.',
    ),
    tokens: oneOf(
      ['all', 'response_only'],
      'all',
      'Whose loss counts: every token, or the trained ones alone.',
    ),
    window: whole(
      { min: 2, max: 1_000_000 },
      2048,
      'Tokens that the model sees at once; longer samples are read in windows.',
    ),
    stride: whole(
      { min: 1, max: 1_000_000 },
      512,
      'Tokens from the start of a window to that of the next, below window.',
    ),
    average: oneOf(
      ['window', 'token'],
      'window',
      'Of a sample of several windows: the mean of their means, however short the last is, or the mean over tokens.',
    ),
    ...SCORED,
  },
  scoresPart: 'rest is left out',
  needs: () => ({}),
  check: ({ window, stride }) =>
    stride < window
      ? []
      : [
          {
            key: 'stride',
            message: `expected less than method.signal.window (${window}), received ${stride}`,
          },
        ],
  readsModels: ({ model }): Readonly<Record<string, string>> => (model === BASE ? {} : { model }),
  async prepare({ model: path, average, ...options }, tools) {
    const folder = path === BASE ? undefined : tools.modelFolder(path, 'method.signal.model')
    const score_P = await tools.withModel(folder, (model) =>
      tools.byChunk('perplexity', 1, (indexes) =>
        perplexities(model, indexes, { average, tools, ...options }),
      ),
    )
    return { score_P }
  },
  cost: ({ window, stride }, { params, samples, tokensPerPass, paramsRead }) => {
    const length = tokensPerPass / Math.max(1, samples)
    const read = windowStarts(length, window, stride).reduce(
      (sum, start) => sum + Math.min(window, length - start),
      0,
    )
    return { preparation: 2 * (paramsRead?.model ?? params) * samples * read, signal: 0 }
  },
})

/** Selection by perplexity, as in Compute-Constrained Data Selection (arXiv 2410.16208). */
export const ppl = defineMethod({
  id: 'ppl',
  about: 'trains on the samples that a frozen model finds least surprising',
  page: 'docs/methods/ppl.md',
  signal: perplexity,
  gate: topFraction,
  apply: 'mask',
  preset: { gate: { keep: 0.025, end: 'lowest' } },
})

/** Where the windows of a sample begin: until one reaches its end. */
export function windowStarts(length: number, window: number, stride: number): number[] {
  const more = Math.max(0, Math.ceil((length - window) / stride))
  return Array.from({ length: 1 + more }, (_, i) => i * stride)
}

/** The windows of a sample; every token is labelled in the first that holds it, with what comes before it there. */
export function windowsOf(
  { tokens, labelMask }: Pick<TokenizedSample, 'tokens' | 'labelMask'>,
  { tokens: which, window, stride }: WindowOptions,
): Window[] {
  let numRead = 1
  return windowStarts(tokens.length, window, stride).map((start) => {
    const part = tokens.subarray(start, start + window)
    const mask = Uint8Array.from(part, (_, t) =>
      start + t >= numRead && (which === 'all' || labelMask[start + t] === 1) ? 1 : 0,
    )
    numRead = Math.max(numRead, start + part.length)
    return { tokens: part, labelMask: mask }
  })
}

/** Of samples of the pool: float32 [samples]; 1 for one without a token whose loss counts, which trains nothing. */
async function perplexities(
  model: CausalLM,
  indexes: readonly number[],
  {
    average,
    tools,
    ...options
  }: WindowOptions & { readonly average: 'window' | 'token'; readonly tools: PreparationTools },
): Promise<Float32Array> {
  const windows = indexes.flatMap((index, place) => {
    const sample = tools.data.sample(index)
    requirePositions(model, sample.tokens.length, options)
    return windowsOf(sample, options).map((window) => ({ place, ...window }))
  })
  const sum_P = new Float64Array(indexes.length)
  const count_P = new Float64Array(indexes.length)
  for (const group of likeLengths(windows.map(({ tokens }) => tokens.length))) {
    const found = windowLosses(
      model,
      group.map((i) => windows[i]!),
      tools,
    )
    for (const [g, { sum, count }] of found.entries()) {
      const { place } = windows[group[g]!]!
      if (count === 0) continue
      sum_P[place]! += average === 'window' ? sum / count : sum
      count_P[place]! += average === 'window' ? 1 : count
    }
    // Signals and timers get their turn.
    await new Promise(setImmediate)
  }
  return Float32Array.from(sum_P, (sum, i) => Math.exp(sum / Math.max(1, count_P[i]!)))
}

/** Sum and number of the labelled tokens' losses of each window. */
function windowLosses(model: CausalLM, windows: readonly Window[], tools: PreparationTools) {
  const sample = (index: number): TokenizedSample => ({
    ...{ index, id: `${index}`, source: '', weight: 1, path: '', line: 1 },
    ...windows[index]!,
  })
  const batch = buildBatch(
    windows.map((_, i) => [i]),
    { sample },
    { padId: 0, packing: false },
  )
  tools.charge(2 * model.numParameters * countTokens([batch]))
  const found = windows.map(() => ({ sum: 0, count: 0 }))
  noGrad(() =>
    scope(() => {
      const labelled = labelledPositions(batch, model.device)
      if (labelled.count === 0) return
      const hidden_BTD = embedTokens(model, toModelInputs(batch, model.device), tools)
      const losses = chunkedTokenLosses(labelled.select(hidden_BTD), model.headWeight, labelled.labels_N, {
        computeDtype: tools.autocastDtype,
      }).toFloat32Array()
      for (const [n, loss] of losses.entries()) {
        const of = found[labelled.sampleOf[n]!]!
        of.sum += loss
        of.count++
      }
    }),
  )
  return found
}

function requirePositions(model: CausalLM, length: number, { window }: WindowOptions): void {
  const most = model.config.maxPositionEmbeddings
  if (Math.min(length, window) <= most) return
  throw new ConfigError(
    'OUT_OF_RANGE',
    `method.signal.window: expected at most ${most}, the positions of the model, for samples of ${length} tokens; received ${window}`,
  )
}
