import { afterAll, describe, expect, it } from 'vitest'
import { createRowStream } from '../batch/index.js'
import type { Gate } from '../method/contract.js'
import { fillOptions } from '../method/option-table.js'
import { stepFacts } from '../method/step-facts.test.fixture.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { band } from './band.js'
import { window } from './window.js'

interface DrawsGolden {
  readonly config: { readonly pool: number; readonly draws: number; readonly seed: number }
  /** By draw and sample. */
  readonly losses: readonly (readonly number[])[]
  readonly parts: readonly (readonly number[])[]
  readonly watched: readonly number[]
  readonly bandOptions: readonly Readonly<Record<string, unknown>>[]
  readonly windowOptions: readonly Readonly<Record<string, unknown>>[]
  /** By options, draw and sample. */
  readonly bands: readonly (readonly (readonly number[])[])[]
  readonly windows: readonly (readonly (readonly number[])[])[]
  readonly weights: readonly number[]
  /** By number of the draw and pass. */
  readonly orders: Readonly<Record<string, readonly (readonly number[])[]>>
}

const { values } = openGolden<DrawsGolden>('draws')
const { losses, parts, watched } = values
const NUM_SAMPLES = losses[0]!.length
const data = {
  ...{ numSamples: NUM_SAMPLES, sources: ['a'], sourceIndex: () => 0, length: () => 1 },
  drawShares: () => Float64Array.of(1),
}
const facts = (step: number) => stepFacts({ data, step, totalSteps: losses.length })
const SCHEDULE = { warmupSteps: 0, drawEvery: 1, scoredShare: 0.4 }

const gates: Gate[] = []
afterAll(() => {
  for (const gate of gates) gate.dispose?.()
})

/** Weights of the pool after each draw. */
function weightsOf(gate: Gate, scores: (draw: number) => readonly (readonly [number, number])[]) {
  gates.push(gate)
  return losses.map((_, draw) => {
    const pool = scores(draw)
    gate.observePool!(
      {
        index: pool.map(([sample]) => sample),
        score: Float32Array.from(pool, ([, score]) => score),
        labels: new Float64Array(pool.length).fill(1),
      },
      facts(draw),
    )
    return gate.draw!()!.weight_P
  })
}

function expectClose(actual: readonly Float32Array[], expected: readonly (readonly number[])[]) {
  for (const [draw, weights] of expected.entries())
    for (const [i, weight] of weights.entries())
      expect(Math.abs(actual[draw]![i]! - weight)).toBeLessThan(1e-6 * Math.max(1, weight))
}

describe('draws of the reference', () => {
  it.each([...values.bandOptions.entries()])('have its bands (options %d: %o)', (i, options) => {
    const gate = band.create(fillOptions(band.options, { ...SCHEDULE, ...options }), facts(0))
    const found = weightsOf(gate, (draw) => parts[draw]!.map((sample) => [sample, losses[draw]![sample]!]))
    expectClose(found, values.bands[i]!)
  })

  it.each([...values.windowOptions.entries()])('have its windows (options %d: %o)', (i, options) => {
    const gate = window.create(fillOptions(window.options, { ...SCHEDULE, ...options }), facts(0))
    const falls = (draw: number) =>
      watched.map((sample) => [sample, losses[0]![sample]! - losses[draw]![sample]!] as const)
    expectClose(weightsOf(gate, falls), values.windows[i]!)
  })

  it('have its order, pass after pass', () => {
    for (const [number, passes] of Object.entries(values.orders)) {
      const options = { seed: 17, maxLength: 1, packing: false }
      const draw = {
        number: Number(number),
        weight_P: Float32Array.from(values.weights),
        replacement: false,
      }
      const rows = createRowStream({ dataset: data, ...options }).next(passes.flat().length, { draw }).rows
      expect(rows.flat()).toEqual(passes.flat())
    }
  })
})
