import { scope, tensor } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { topFraction } from '../gate/top-fraction.js'
import type { RunFacts, StepFacts } from '../method/contract.js'
import type { PreparationTools } from '../method/preparation.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { toolsOf } from './preparation-tools.test.fixture.js'
import { randomKey } from './random.js'

interface Values {
  readonly names: readonly (readonly [path: string, id: string])[]
  readonly sources: readonly number[]
  readonly keys: Readonly<Record<string, readonly number[]>>
  readonly plain: Readonly<Record<string, readonly number[]>>
  readonly balanced: Readonly<Record<string, readonly number[]>>
}

const golden = openGolden<Values>('random').values

function prepared(seed: number) {
  const data = {
    numSamples: golden.names.length,
    origin: (index: number) => ({ path: golden.names[index]![0], id: golden.names[index]![1] }),
  } as PreparationTools['data']
  return randomKey.prepare!({}, toolsOf({ data, seed }))
}

function keptOf(score: Float32Array, keep: number, balanced: boolean): number[] {
  const gate = topFraction.create(
    { keep, balanced, shareOf: 'all', end: 'lowest', ties: 'place' },
    {} as RunFacts,
  )
  return scope(() => {
    const source = Uint16Array.from(golden.sources)
    const of = { score: tensor(score, [score.length]), index: [], labels: new Float64Array(), source }
    const weights = gate.weights(of, {} as StepFacts).toFloat32Array()
    return [...weights.keys()].filter((i) => weights[i] === 1)
  })
}

describe('random', () => {
  it('gives the keys and the selections of the reference, plain and balanced', async () => {
    for (const [seed, keys] of Object.entries(golden.keys)) {
      const { score_P } = await prepared(Number(seed))
      expect([...score_P!]).toEqual(keys.map(Math.fround))
      expect(keptOf(score_P!, 0.4, false)).toEqual(golden.plain[seed])
      expect(keptOf(score_P!, 0.6, true)).toEqual(golden.balanced[seed])
    }
  })

  it('trains on the kept samples alone: the self-normalised mean of the worked losses is 3', () => {
    const kept = keptOf(Float32Array.of(0.31, 0.07, 0.92, 0.55, 0.12), 0.4, false)
    expect(kept).toEqual([1, 4])
    const losses = [2, 1, 3, 4, 5]
    expect(kept.reduce((sum, i) => sum + losses[i]!, 0) / kept.length).toBe(3)
  })
})
