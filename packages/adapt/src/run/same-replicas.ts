import { bind, noGrad, scope, stack, sum, type Tensor } from '@adapt-ts/torch'
import { NumericError } from '../errors.js'
import type { CausalLM } from '../model/index.js'
import type { World } from './world.js'

const viewAs = bind('aten::view', 'dtype')

/**
 * Compares the parameters of the ranks bit by bit, those that are trained or all: once they differ, every rank trains a model of its own.
 * @throws {NumericError} REPLICAS_DIFFER (exit 4), on every rank, with the ranks that are not like most and the first parameter that is not.
 */
export function requireSameReplicas(
  world: World,
  model: CausalLM,
  step: number,
  which: 'trained' | 'all',
): void {
  if (world.worldSize === 1) return
  const compared = [...model.namedParameters()].filter(
    ([, { requiresGrad }]) => which === 'all' || requiresGrad,
  )
  const all = world.gatherText(JSON.stringify(sumsOfBits(compared.map(([, parameter]) => parameter))))
  const votes = new Map<string, number[]>()
  for (const [rank, sums] of all.entries()) votes.set(sums, [...(votes.get(sums) ?? []), rank])
  if (votes.size === 1) return
  // Of as many ranks on either side the first is taken for right: which one is cannot be known.
  const [right, ...wrong] = [...votes.entries()].sort(([, a], [, b]) => b.length - a.length || a[0]! - b[0]!)
  const ranks = wrong.flatMap(([, list]) => list).sort((a, b) => a - b)
  const [expected, found] = [right![0], wrong[0]![0]].map((text) => JSON.parse(text) as string[]) as [
    string[],
    string[],
  ]
  const name = compared[expected.findIndex((value, i) => value !== found[i])]?.[0]
  const where = `${ranks.length > 1 ? 'ranks' : 'rank'} ${ranks.join(', ')}`
  throw new NumericError(
    'REPLICAS_DIFFER',
    `step ${step}: ${name} on ${where} is not that of rank ${right![1][0]}; of this step nothing was saved: look for another model folder or a machine whose memory fails`,
    { ranks, parameter: name },
  )
}

const WORDS: Readonly<Record<string, string>> = {
  float64: 'int64',
  float32: 'int32',
  bfloat16: 'int16',
  float16: 'int16',
}

/** For each tensor the sum of its elements' bits, in one host copy; a single other bit changes it. */
function sumsOfBits(parameters: readonly Tensor[]): string[] {
  return noGrad(() =>
    scope(() => {
      const sums = parameters.map((parameter) => sum(viewAs(parameter, WORDS[parameter.dtype]!) as Tensor))
      return Array.from(stack(sums).toBigInt64Array(), String)
    }),
  )
}
