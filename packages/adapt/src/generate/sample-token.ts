import { ConfigError } from '../errors.js'

/** How the next token is chosen; names and meaning as in transformers' GenerationConfig. */
export interface SamplingOptions {
  /** 0 always takes the most likely token; larger is more varied. Default 0. */
  readonly temperature?: number
  /** Only the most likely tokens that together have this probability, in (0, 1]. Default 1: all. */
  readonly topP?: number
  /** Only this many of the most likely tokens; 0: all. Default 0. */
  readonly topK?: number
  /** Default 0. Equal seeds give equal texts. */
  readonly seed?: number
}

/** @throws {ConfigError} OUT_OF_RANGE */
export function assertSamplingOptions({
  temperature = 0,
  topP = 1,
  topK = 0,
  seed = 0,
}: SamplingOptions): void {
  const fail = (name: string, expected: string, value: number): never => {
    throw new ConfigError('OUT_OF_RANGE', `${name}: expected ${expected}, received ${value}`)
  }
  if (!Number.isFinite(temperature) || temperature < 0) fail('temperature', 'a number >= 0', temperature)
  if (!(topP > 0 && topP <= 1)) fail('top-p', 'a number in (0, 1]', topP)
  if (!Number.isSafeInteger(topK) || topK < 0) fail('top-k', 'an integer >= 0', topK)
  if (!Number.isSafeInteger(seed) || seed < 0) fail('seed', 'an integer >= 0', seed)
}

/** The most likely token; the first of equal ones. @param logits_V  float32 [V]. */
export function greedyToken(logits_V: Float32Array): number {
  let best = 0
  for (let token = 1; token < logits_V.length; token++) {
    if (logits_V[token]! > logits_V[best]!) best = token
  }
  return best
}

/**
 * Draws from softmax(logits / temperature), cut to the top k and then to the smallest set of probability top p.
 * @param logits_V  float32 [V]. @param uniform  A number in [0, 1).
 */
export function sampleToken(
  logits_V: Float32Array,
  uniform: number,
  { temperature = 0, topP = 1, topK = 0 }: SamplingOptions,
): number {
  if (temperature === 0) return greedyToken(logits_V)
  // Equal logits keep the order of their ids, so that a draw does not depend on the sorting.
  const order = Array.from(logits_V.keys()).sort((a, b) => logits_V[b]! - logits_V[a]! || a - b)
  const kept = topK > 0 ? order.slice(0, topK) : order
  const peak = logits_V[kept[0]!]!
  const mass = kept.map((token) => Math.exp((logits_V[token]! - peak) / temperature))
  const total = mass.reduce((sum, value) => sum + value, 0)
  let nucleus = 0
  let numNucleus = 0
  while (numNucleus < kept.length && (numNucleus === 0 || nucleus < topP * total)) {
    nucleus += mass[numNucleus++]!
  }
  let left = uniform * nucleus
  for (let i = 0; i < numNucleus; i++) {
    left -= mass[i]!
    if (left < 0) return kept[i]!
  }
  return kept[numNucleus - 1]!
}
