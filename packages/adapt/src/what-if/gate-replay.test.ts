import { zeros } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { createSoftmaxGate } from '../gate/index.js'
import type { Gate } from '../method/index.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { type LedgerPart, LedgerSteps } from '../record/index.js'
import { GateReplay } from './gate-replay.js'

/** A part with these scores by step; a score of 9 belongs to a sample without labels. */
function part(scores: Readonly<Record<number, readonly number[]>>): LedgerPart {
  const rows = Object.entries(scores).flatMap(([step, values]) =>
    values.map((score) => [Number(step), score] as const),
  )
  const steps = rows.map(([step]) => step)
  const ones = Float32Array.from(rows, () => 1)
  return {
    firstStep: steps[0]!,
    lastStep: steps.at(-1)!,
    rank: 0,
    rows: rows.length,
    step: Int32Array.from(steps),
    sample: Int32Array.from(rows, (_, i) => i),
    source: rows.map(() => 'web'),
    score: Float32Array.from(rows, ([, score]) => score),
    weight: ones,
    sampleWeight: ones,
    loss: ones,
    tokens: Int32Array.from(rows, ([, score]) => (score === 9 ? 0 : 5)),
  }
}

async function* listOf(...parts: LedgerPart[]): AsyncGenerator<LedgerPart> {
  yield* parts
}

/** A gate that remembers what it is given. */
function spyGate() {
  const seen: { observed: number[][]; rescored: number[][] } = { observed: [], rescored: [] }
  const gate: Gate = {
    weights: ({ score }) => zeros(score.shape),
    observe: ({ samples }) => void seen.observed.push([...samples.score]),
    rescore: (scores) => void seen.rescored.push([...scores]),
  }
  return { gate, seen }
}

describe('GateReplay', () => {
  it('keeps samples without labels out of a gate over the whole step, and gives them 0', async () => {
    const steps = new LedgerSteps(listOf(part({ 4: [0.5, 9, 0.25] })))
    const weights = new GateReplay(createSoftmaxGate(), stepFacts(), 'step').weigh((await steps.next())!)
    expect(weights[1]).toBe(0)
    expect(weights[0]! + weights[2]!).toBeCloseTo(2, 5)
    expect(weights[0]! / weights[2]!).toBeCloseTo(Math.exp(0.25), 5)
    const empty = new LedgerSteps(listOf(part({ 1: [9] })))
    expect([
      ...new GateReplay(createSoftmaxGate(), stepFacts(), 'step').weigh((await empty.next())!),
    ]).toEqual([0])
  })

  it('lets a gate observe the scores of samples with labels', async () => {
    const { gate, seen } = spyGate()
    const steps = new LedgerSteps(listOf(part({ 1: [0.5, 9], 2: [0.25] })))
    const replay = new GateReplay(gate, stepFacts(), 'batch')
    replay.observe((await steps.next())!)
    expect(seen.observed).toEqual([[0.5]])
  })

  it('takes the scores that follow a refresh, over parts and up to the next one, for those of the reservoir', async () => {
    const { gate, seen } = spyGate()
    const steps = new LedgerSteps(
      listOf(part({ 1: [0.5, 0.5, 0.5], 2: [0.25] }), part({ 3: [0.75], 4: [0.125] })),
    )
    const replay = new GateReplay(gate, stepFacts(), 'batch')
    await steps.next()
    await replay.refresh(steps, 1, 3, 3)
    expect(seen.rescored).toEqual([[0.25, 0.75, 0.25]])
    await replay.refresh(steps, 1, 1, 3)
    expect(seen.rescored[1]).toEqual([0.25])
    expect((await steps.next())!.step).toBe(2)
    await steps.next()
    await steps.next()
    await replay.refresh(steps, 4, 6, Number.POSITIVE_INFINITY)
    expect(await steps.next()).toBeUndefined()
    expect(seen.rescored.length).toBe(2)
  })
})
