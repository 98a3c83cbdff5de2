import { Worker } from 'node:worker_threads'
import { distributed } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { NORMALIZERS } from '../loss/index.js'
import { relativeDistance, wholeDistance } from '../model/tiny-llama.test.fixture.js'
import { type Layout, type LayoutResult, type LayoutRun, runLayout } from './training-case.test.fixture.js'
import type { VirtualRank } from './virtual-rank.test.worker.js'

/** Relative, in float32. */
const TOLERANCE = 1e-6
/** A gate divides the last place of a cosine, 1.2e-7, by a temperature down to 0.1. */
const WEIGHT_TOLERANCE = 2e-6

/** Results of all ranks, in rank order. */
async function runRanks(run: LayoutRun): Promise<LayoutResult[]> {
  const { worldSize } = run.layout
  if (worldSize === 1) return [runLayout(run)]
  const memory = distributed.createVirtualRankMemory(worldSize, 1 << 14)
  return await Promise.all(
    Array.from({ length: worldSize }, (_, rank) => {
      const workerData: VirtualRank = { run, memory, rank }
      const worker = new Worker(new URL('./virtual-rank.test.worker.js', import.meta.url), { workerData })
      return new Promise<LayoutResult>((resolve, reject) => {
        worker.once('message', resolve).once('error', reject)
      })
    }),
  )
}

function expectSame(actual: LayoutResult, expected: LayoutResult): void {
  expect(relativeDistance(actual.losses, expected.losses)).toBeLessThan(TOLERANCE)
  expect(wholeDistance(actual.gradients, expected.gradients)).toBeLessThan(TOLERANCE)
  expect(relativeDistance(actual.gradNorms, expected.gradNorms)).toBeLessThan(TOLERANCE)
  expect(wholeDistance(actual.parameters, expected.parameters)).toBeLessThan(TOLERANCE)
  // One rank has part of the samples.
  const ids = [...actual.weights.keys()]
  const weightsOf = (result: LayoutResult) => ids.map((id) => result.weights.get(id)!)
  expect(relativeDistance(weightsOf(actual), weightsOf(expected))).toBeLessThan(WEIGHT_TOLERANCE)
}

const LAYOUTS: readonly Layout[] = [
  { worldSize: 1, accumulation: 2, perDevice: 2 },
  { worldSize: 1, accumulation: 4, perDevice: 1 },
  { worldSize: 2, accumulation: 1, perDevice: 2 },
  { worldSize: 2, accumulation: 2, perDevice: 1 },
  { worldSize: 4, accumulation: 1, perDevice: 1 },
]

const WHOLE: Layout = { worldSize: 1, accumulation: 1, perDevice: 4 }

const METHODS: Readonly<Record<string, LayoutRun['method']>> = {
  uniform: { preset: 'uniform' },
  adapt: { preset: 'adapt', gate: { temperature: 0.2 }, signal: { refresh_every: 3 } },
  'adapt-calibrated': {
    preset: 'adapt-calibrated',
    gate: { ess: 0.8, warmup_ratio: 0.05, update_every: 2 },
    signal: { refresh_every: 3 },
  },
  'adaptive refresh, max of tasks': {
    preset: 'adapt',
    gate: { temperature: 0.2 },
    signal: { refresh: 'adaptive', probe_every: 1, refresh_min: 2, refresh_max: 3, aggregate: 'max' },
  },
  'rolling refresh, zmax of tasks': {
    preset: 'adapt',
    gate: { temperature: 0.1 },
    signal: { refresh: 'rolling', refresh_every: 4, aggregate: 'zmax', center: true },
  },
  'softmax gate': { preset: 'adapt', gate: { kind: 'softmax', temperature: 0.2 } },
  'shuffled weights': { preset: 'adapt', gate: { temperature: 0.2 }, shuffle: true },
  'mean weight per source': { preset: 'adapt', gate: { temperature: 0.2 }, collapse: 'source' },
  'tokens under a threshold': 'tokens under a threshold',
  'tokens weighed over the step': 'tokens weighed over the step',
  'half of the samples masked': 'half of the samples masked',
  greats: 'greats',
  'scoring forward': { preset: 'adapt', gate: { temperature: 0.2 }, signal: { score_eval: true } },
}

describe.each(Object.entries(METHODS))('%s', (_, method) => {
  it.each(NORMALIZERS)('does not see how a step is cut into micro-batches (%s)', (normalizer) => {
    const expected = runLayout({ method, normalizer, layout: WHOLE, numSteps: 6 })
    expect(expected.losses.every(Number.isFinite)).toBe(true)
    for (const layout of LAYOUTS.filter(({ worldSize }) => worldSize === 1)) {
      expectSame(runLayout({ method, normalizer, layout, numSteps: 6 }), expected)
    }
  })

  it('does not see how a step is cut over ranks', async () => {
    for (const layout of LAYOUTS.filter(({ worldSize }) => worldSize > 1)) {
      const normalizer = NORMALIZERS[LAYOUTS.indexOf(layout) % 4]!
      const expected = runLayout({ method, normalizer, layout: WHOLE, numSteps: 6 })
      const ranks = await runRanks({ method, normalizer, layout, numSteps: 6 })
      for (const result of ranks) {
        expectSame(result, expected)
        expect(result.losses).toEqual(ranks[0]!.losses)
        expect(result.parameters).toEqual(ranks[0]!.parameters)
      }
      const seen = ranks.flatMap(({ weights }) => [...weights.keys()])
      expect(seen.sort()).toEqual([...expected.weights.keys()].sort())
    }
  })

  it('takes a short step on which one rank has nothing left', async () => {
    const numRows = 5
    const expected = runLayout({
      method,
      layout: { worldSize: 1, accumulation: 1, perDevice: 8 },
      numSteps: 5,
      numRows,
    })
    const layouts: Layout[] = [
      { worldSize: 2, accumulation: 2, perDevice: 2 },
      { worldSize: 4, accumulation: 1, perDevice: 2 },
    ]
    for (const layout of layouts) {
      for (const result of await runRanks({ method, layout, numSteps: 5, numRows }))
        expectSame(result, expected)
    }
  })
})

describe('the centroid', () => {
  it('is the same when the anchors are shared out over 1, 2 and 4 ranks', async () => {
    const run = { method: METHODS.adapt!, numSteps: 1 }
    const alone = runLayout({ ...run, layout: WHOLE }).centroid!
    for (const worldSize of [2, 4]) {
      const ranks = await runRanks({
        ...run,
        layout: { worldSize, accumulation: 1, perDevice: 4 / worldSize },
      })
      for (const { centroid } of ranks) {
        expect(relativeDistance(centroid!, alone)).toBeLessThan(TOLERANCE)
        expect(centroid).toEqual(ranks[0]!.centroid)
      }
    }
  })
})
