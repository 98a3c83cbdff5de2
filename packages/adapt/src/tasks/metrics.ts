import { pythonRegExp } from '../chat-template/index.js'
import { ConfigError } from '../errors.js'
import { softmaxShares } from '../gate/softmax-shares.js'
import type { WrittenPair } from './corpus-scores.js'
import type { TaskItem } from './prepare-task.js'
import type { MetricSettings, OutputType } from './task-schema.js'

/** What the model said to a request. */
export type TaskResponse =
  | { readonly logLikelihood: number; readonly isGreedy: boolean }
  | { readonly text: string }

/** A value of one document: a number, or what its aggregation makes one of over all of them. */
export type MetricValue =
  | number
  | readonly [number, number]
  | readonly [number, readonly number[]]
  | WrittenPair

/** Metrics of a task that names none. */
export const DEFAULT_METRICS: Readonly<Record<OutputType, readonly string[]>> = {
  multiple_choice: ['acc', 'acc_norm'],
  loglikelihood: ['perplexity', 'acc'],
  loglikelihood_rolling: ['word_perplexity', 'byte_perplexity', 'bits_per_byte'],
  generate_until: ['exact_match'],
}

type Compute = (item: TaskItem, responses: readonly TaskResponse[], settings: MetricSettings) => MetricValue

interface Metric {
  readonly aggregation: string
  readonly higherIsBetter: boolean
  readonly compute: Compute
}

const asLikelihoods = (responses: readonly TaskResponse[]) =>
  responses as readonly { readonly logLikelihood: number; readonly isGreedy: boolean }[]

/** Log-likelihoods of the choices, given the context. */
const choiceScores = ({ choices }: TaskItem, responses: readonly TaskResponse[]): number[] =>
  asLikelihoods(responses)
    .slice(0, choices!.length)
    .map(({ logLikelihood }) => logLikelihood)

/** Place of the largest value, the first of equals. */
function argmax(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0)
}

/** 1 where the best choice is right. Lengths of choices divide their scores. */
const accuracy =
  (lengthOf: (choice: string) => number): Compute =>
  (item, responses) => {
    const scores = choiceScores(item, responses).map((score, i) => score / lengthOf(item.choices![i]!))
    return item.gold!.includes(argmax(scores)) ? 1 : 0
  }

const mean = (compute: Compute, higherIsBetter = true): Metric => ({
  aggregation: 'mean',
  higherIsBetter,
  compute,
})

/** The right texts and the one that was written: what is made of them is made of all documents together. */
const ofCorpus = (aggregation: string): Metric => ({
  aggregation,
  higherIsBetter: true,
  compute: (item, responses) => {
    const right = answersOf(item)
    const { text } = responses[0] as { readonly text: string }
    return [right.length === 1 ? right[0]! : right, text]
  },
})

const rolling = (aggregation: string, count: (text: string) => number): Metric => ({
  aggregation,
  higherIsBetter: false,
  compute: (item, responses) => {
    const { logLikelihood } = asLikelihoods(responses)[0]!
    return [logLikelihood, count(String(item.answer))]
  },
})
const countBytes = (text: string): number => Buffer.byteLength(text)
const countCharacters = (text: string): number => Array.from(text).length
/** Pieces between white space, as the harness counts words. */
const countWords = (text: string): number => text.split(/\s+/u).length

/** Metrics by the kind of output that they are of. */
const METRICS: Readonly<Record<OutputType, Readonly<Record<string, Metric>>>> = {
  multiple_choice: {
    acc: mean(accuracy(() => 1)),
    acc_norm: mean(accuracy(countCharacters)),
    acc_bytes: mean(accuracy(countBytes)),
    acc_mutual_info: mean((item, responses) => {
      const all = asLikelihoods(responses)
      const { length } = item.choices!
      const gains = item.choices!.map((_, i) => all[i]!.logLikelihood - all[length + i]!.logLikelihood)
      return item.gold!.includes(argmax(gains)) ? 1 : 0
    }),
    exact_match: mean((item, responses) =>
      item.gold!.some((place) => asLikelihoods(responses)[place]!.isGreedy) ? 1 : 0,
    ),
    brier_score: {
      aggregation: 'brier_score',
      higherIsBetter: false,
      compute: (item, responses) => [item.gold![0]!, [...softmaxShares(choiceScores(item, responses), 1)]],
    },
    f1: {
      aggregation: 'f1',
      higherIsBetter: true,
      compute: (item, responses) => [item.gold![0]!, argmax(choiceScores(item, responses))],
    },
    mcc: {
      aggregation: 'matthews_corrcoef',
      higherIsBetter: true,
      compute: (item, responses) => [item.gold![0]!, argmax(choiceScores(item, responses))],
    },
  },
  loglikelihood: {
    perplexity: {
      aggregation: 'perplexity',
      higherIsBetter: false,
      compute: (_, responses) => asLikelihoods(responses)[0]!.logLikelihood,
    },
    acc: mean((_, responses) => (asLikelihoods(responses)[0]!.isGreedy ? 1 : 0)),
  },
  loglikelihood_rolling: {
    word_perplexity: rolling('weighted_perplexity', countWords),
    byte_perplexity: rolling('weighted_perplexity', countBytes),
    bits_per_byte: rolling('bits_per_byte', countBytes),
  },
  generate_until: {
    exact_match: mean((item, responses, settings) => {
      const { text } = responses[0] as { readonly text: string }
      const right = answersOf(item)
      return right.some((answer) => normalise(answer, settings) === normalise(text, settings)) ? 1 : 0
    }),
    bleu: ofCorpus('bleu'),
    chrf: ofCorpus('chrf'),
  },
}

/** A metric of a task, ready to be computed. */
export interface TaskMetric {
  readonly name: string
  readonly aggregation: string
  /** The one that its task does not override. */
  readonly ownAggregation: string
  readonly higherIsBetter: boolean
  compute(item: TaskItem, responses: readonly TaskResponse[]): MetricValue
}

/** @throws {ConfigError} UNKNOWN_METRIC for one that is not computed for this kind of output; BAD_PATTERN. */
export function metricsOf(
  outputType: OutputType,
  list: readonly MetricSettings[] | undefined,
  where: string,
): TaskMetric[] {
  const known = METRICS[outputType]
  const wanted = list ?? DEFAULT_METRICS[outputType].map((metric) => ({ metric }))
  return wanted.map((settings) => {
    const { metric: name, aggregation, higher_is_better: higherIsBetter } = settings as MetricSettings
    const found = Object.hasOwn(known, name) ? known[name] : undefined
    if (found === undefined) {
      throw new ConfigError(
        'UNKNOWN_METRIC',
        `${where}: metric_list: expected metrics of ${outputType} (${Object.keys(known).join(', ')}), received "${name}"`,
      )
    }
    requirePatterns(settings as MetricSettings, where)
    return {
      name,
      aggregation: aggregation ?? found.aggregation,
      ownAggregation: found.aggregation,
      higherIsBetter: higherIsBetter ?? found.higherIsBetter,
      compute: (item, responses) => found.compute(item, responses, settings as MetricSettings),
    }
  })
}

function requirePatterns({ regexes_to_ignore: patterns = [] }: MetricSettings, where: string): void {
  try {
    for (const pattern of patterns) pythonRegExp(pattern)
  } catch (error) {
    throw new ConfigError(
      'BAD_PATTERN',
      `${where}: metric_list: regexes_to_ignore: ${(error as Error).message}`,
    )
  }
}

/** Texts that are right: of a choice its text. */
function answersOf({ answer, choices }: TaskItem): string[] {
  return [answer]
    .flat()
    .map((one) => (typeof one === 'number' && choices !== undefined ? choices[one]! : String(one)))
}

const PUNCTUATION = new Set('!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~')

function normalise(
  text: string,
  { regexes_to_ignore, ignore_case, ignore_punctuation, ignore_numbers }: MetricSettings,
): string {
  let result = text
  for (const pattern of regexes_to_ignore ?? []) result = result.replace(pythonRegExp(pattern, 'g'), '')
  if (ignore_case) result = result.toLowerCase()
  if (ignore_punctuation) result = Array.from(result, (c) => (PUNCTUATION.has(c) ? '' : c)).join('')
  return ignore_numbers ? result.replace(/[0-9]/g, '') : result
}
