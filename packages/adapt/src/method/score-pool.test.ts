import { type Collective, distributed } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { layOutPool } from '../batch/index.js'
import { createTinyLlama, createTokens } from '../model/tiny-llama.test.fixture.js'
import { composeMethod } from './compose-method.js'
import type { Rescoring, ScoredPool, Signal, StepTools } from './contract.js'
import { lookAt } from './evidence.js'
import { scorePool } from './score-pool.js'
import { compositionOf, stepFacts } from './step-facts.test.fixture.js'

const model = createTinyLlama()
afterAll(() => model.dispose())

const draw = createTokens(41)
/** Long enough for several batches. */
const LENGTH = 30
const texts = Array.from({ length: 600 }, () => draw(LENGTH))
const dataset = {
  length: () => LENGTH,
  sample: (index: number) => ({
    ...{ index, id: `s${index}`, source: 'a', weight: 1, path: 'memory', line: index + 1 },
    tokens: Int32Array.from(texts[index]!),
    labelMask: Uint8Array.from(texts[index]!, (_, t) => (t > 0 && index % 7 !== 3 ? 1 : 0)),
  }),
}
const data = {
  ...{ numSamples: texts.length, sources: ['a'], sourceIndex: () => 0, length: () => LENGTH },
  drawShares: () => Float64Array.of(1),
}
const loss: Signal = { score: (evidence) => evidence.sampleLoss_S() }
const composition = compositionOf({
  signal: loss,
  gate: { weights: ({ score }) => score },
  needs: { tokenLosses: true },
})

function factsOf(collective: Collective, charge: (numTokens: number) => number = () => 0) {
  const { rank, worldSize } = collective
  return stepFacts({
    ...{ data, collective, charge, device: model.device },
    look: (batch) => lookAt(model, batch, { autocastDtype: undefined, reference: undefined }),
    layOutPool: (samples) => layOutPool(samples, { dataset, padId: 0, worldSize, rank }),
  })
}

function finish(work: Generator<unknown, ScoredPool>): ScoredPool {
  for (;;) {
    const { done, value } = work.next()
    if (done) return value as ScoredPool
  }
}

const all = texts.map((_, i) => i)

describe('scorePool', () => {
  it('gives every sample its score, loss and labels in the order wanted, and charges each token once', () => {
    let charged = 0
    const index = [...all].reverse()
    const pool = finish(
      scorePool(
        composition,
        index,
        factsOf(distributed.singleProcess, (n) => (charged += n)),
      ),
    )
    expect([...Array.from(pool.index)]).toEqual(index)
    expect([...pool.labels]).toEqual(index.map((i) => (i % 7 === 3 ? 0 : LENGTH - 1)))
    expect(pool.loss).toEqual(pool.score)
    const one = finish(scorePool(composition, [17], factsOf(distributed.singleProcess)))
    expect(pool.score[index.indexOf(17)]).toBeCloseTo(one.score[0]!, 5)
    expect(charged).toBe(texts.length * LENGTH)
  })

  it('shares the batches among the ranks, each of them once', () => {
    const whole = finish(scorePool(composition, all, factsOf(distributed.singleProcess)))
    const seen: number[][][] = []
    for (const rank of [0, 1]) {
      const lists: number[][] = []
      const collective: Collective = {
        ...distributed.singleProcess,
        ...{ rank, worldSize: 2 },
        allReduceNumbers: (values) => {
          lists.push([...values])
          return [...values]
        },
      }
      finish(scorePool(composition, all, factsOf(collective)))
      seen.push(lists)
    }
    const [scores] = [seen[0]![0]!.map((value, i) => value + seen[1]![0]![i]!)]
    expect(scores.map(Math.fround)).toEqual([...whole.score])
    for (const rank of [0, 1]) expect(seen[rank]![0]!.some((value) => value > 0)).toBe(true)
  })

  it('looks scores up that were made before training', () => {
    const stored = {
      ...composition,
      isStored: true,
      signal: { ...loss, stored: { scores: () => Float32Array.of(3, 1, 2), take: () => {} } },
    }
    const { score } = finish(scorePool(stored, [2, 0], factsOf(distributed.singleProcess)))
    expect([...score]).toEqual([2, 3])
  })
})

describe('scores of before training that are made anew', () => {
  const rescoring: Rescoring = {
    wants: (step) => (step === 3 ? all : undefined),
    score(batch, facts) {
      facts.charge(2 * batch.samples.reduce((sum, { numTokens }) => sum + numTokens, 0))
      return facts.look(batch).sampleLoss_S()
    },
  }

  it('are taken over when all is done, and charged then: a round that was left half way changes nothing', () => {
    const taken: ScoredPool[] = []
    let charged = 0
    const method = composeMethod({
      ...composition,
      isStored: true,
      signal: {
        ...loss,
        stored: { scores: () => undefined, rescoring, take: (pool) => void taken.push(pool) },
      },
    })
    const facts = factsOf(distributed.singleProcess, (n) => (charged += n))
    for (const { done, total } of method.beforeDraw({ ...facts, step: 3 })) if (done < total) break
    expect([taken.length, charged]).toEqual([0, 0])
    for (const _ of method.beforeDraw({ ...facts, step: 2 }));
    expect(taken).toEqual([])
    for (const _ of method.beforeDraw({ ...facts, step: 3 }));
    const expected = finish(scorePool(composition, all, factsOf(distributed.singleProcess)))
    expect(taken.map(({ score }) => score)).toEqual([expected.score])
    expect(charged).toBe(2 * texts.length * LENGTH)
  })
})

describe('a method that draws', () => {
  it('says of which steps the rows are not known before, and changes nothing when a pool is left half scored', () => {
    const observed: number[] = []
    const method = composeMethod({
      ...composition,
      apply: 'sample',
      gate: {
        weights: ({ score }) => score,
        wants: (step) => (step === 3 ? all : undefined),
        observePool: (_, { step }) => void observed.push(step),
      },
    })
    expect([0, 2, 3, 4].map((step) => method.decidesDraw(step))).toEqual([false, false, true, false])
    const tools: StepTools = { ...factsOf(distributed.singleProcess), step: 3 }
    for (const { done, total } of method.beforeDraw(tools)) {
      expect(total).toBe(texts.length)
      if (done < total) break
    }
    expect(observed).toEqual([])
    for (const _ of method.beforeDraw(tools));
    expect(observed).toEqual([3])
    for (const _ of method.beforeDraw({ ...tools, step: 4 }));
    expect(observed).toEqual([3])
  })
})
