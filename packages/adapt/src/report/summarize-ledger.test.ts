import { describe, expect, it } from 'vitest'
import type { StepRecord } from '../record/index.js'
import { createRun } from './report-page.test.fixture.js'
import { type LedgerRows, summarizeLedger } from './summarize-ledger.js'

interface Row {
  readonly step: number
  readonly sample: number
  readonly weight: number
  readonly source?: string
  readonly score?: number
  readonly loss?: number
  readonly tokens?: number
}

function part(rows: readonly Row[]): LedgerRows {
  return {
    rows: rows.length,
    step: rows.map((row) => row.step),
    sample: rows.map((row) => row.sample),
    source: rows.map((row) => row.source ?? 'a'),
    score: rows.map((row) => row.score ?? 0),
    weight: rows.map((row) => row.weight),
    loss: rows.map((row) => row.loss ?? 1),
    tokens: rows.map((row) => row.tokens ?? 5),
  }
}

const template = createRun({ name: 'x', method: 'm', seed: 0, steps: 1, tau: 1, gain: 0 }).steps[0]!
/** Steps with these mean weights; scores lie in [-1, 1]. */
const stepsOf = (...means: number[]): StepRecord[] =>
  means.map((weightMean, i) => ({
    ...{ ...template, step: i + 1, weightMean },
    scoreQuantiles: [-1, -1, -0.5, 0, 0.5, 1, 1],
  }))

describe('summarizeLedger', () => {
  it('averages weights relative to their step over the last part of the run', async () => {
    const steps = stepsOf(1, 1, 0.5, 2)
    const parts = [
      part([
        { step: 1, sample: 7, weight: 9 },
        { step: 3, sample: 7, weight: 0.75, score: 0.2, loss: 2 },
      ]),
      part([
        { step: 4, sample: 7, weight: 1, score: 0.4, loss: 4 },
        { step: 4, sample: 2, weight: 3 },
      ]),
    ]
    const summary = (await summarizeLedger(parts, steps, { lastPart: 0.5 }))!
    expect(summary).toMatchObject({ firstStep: 3, lastStep: 4, numSamples: 2 })
    // 0.75 / 0.5 and 1 / 2; step 1 counts only as a time seen.
    expect(summary.downWeighted).toEqual([
      {
        ...{ index: 7, relativeWeight: 1, weight: 0.875, timesSeen: 3 },
        score: expect.closeTo(0.3, 6),
        loss: 3,
      },
    ])
    expect(summary.upWeighted.map(({ index, relativeWeight }) => [index, relativeWeight])).toEqual([[2, 1.5]])
  })

  it('lists the extremes in order, ties by index, none in both lists', async () => {
    const weights = [0.5, 3, 1, 1, 2, 0.1, 4000]
    const rows = weights.map((weight, sample) => ({ step: 1, sample, weight }))
    const indices = async (top: number) => {
      const summary = (await summarizeLedger([part(rows)], stepsOf(1), { top }))!
      return [summary.upWeighted, summary.downWeighted].map((list) => list.map(({ index }) => index))
    }
    expect(await indices(2)).toEqual([
      [6, 1],
      [5, 0],
    ])
    expect(await indices(15)).toEqual([
      [6, 1, 4],
      [5, 0, 3],
    ])
  })

  it('splits the variance of the weights into that between and that within the sources', async () => {
    const rows = [
      ...[1, 3].map((weight, i) => ({ step: 1, sample: i, weight, source: 'a' })),
      ...[5, 7, 6].map((weight, i) => ({ step: 1, sample: 2 + i, weight, source: 'b' })),
    ]
    const summary = (await summarizeLedger([part(rows)], stepsOf(2)))!
    const relative = rows.map(({ weight }) => weight / 2)
    const mean = relative.reduce((a, b) => a + b, 0) / 5
    const total = relative.reduce((sum, w) => sum + (w - mean) ** 2, 0)
    const between = 2 * (1 - mean) ** 2 + 3 * (3 - mean) ** 2
    expect(summary.betweenSources).toBeCloseTo(between / total, 12)
    expect(summary.sources.map(({ source, rows, weight }) => [source, rows, weight])).toEqual([
      ['b', 3, 6],
      ['a', 2, 2],
    ])
    expect(summary.sources[1]!.relativeStd).toBeCloseTo(0.5, 12)
  })

  it('has no extremes and no share where all weights are equal', async () => {
    const rows = [0, 1, 2].map((sample) => ({ step: 1, sample, weight: 1, source: `s${sample}` }))
    const summary = (await summarizeLedger([part(rows)], stepsOf(1)))!
    expect(summary.betweenSources).toBeNaN()
    expect([summary.upWeighted, summary.downWeighted]).toEqual([[], []])
  })

  it('leaves out rows without labels, without a step record or with a weight that is not finite', async () => {
    const good = { step: 1, sample: 0, weight: 1 }
    const bad = [
      { ...good, tokens: 0 },
      { ...good, step: 9 },
      { ...good, weight: Number.NaN },
    ]
    const summary = (await summarizeLedger([part([good, ...bad])], stepsOf(1)))!
    expect(summary.sources[0]!.rows).toBe(1)
    expect(await summarizeLedger([part(bad)], stepsOf(1))).toBeNull()
    expect(await summarizeLedger([], [])).toBeNull()
  })

  it('counts scores over steps and range; the fullest cell of a column is 100', async () => {
    const rows = [
      { step: 1, sample: 0, weight: 1, score: -1 },
      { step: 1, sample: 1, weight: 1, score: 1 },
      { step: 1, sample: 2, weight: 1, score: 0.999 },
      { step: 2, sample: 3, weight: 1, score: 0.01 },
      { step: 2, sample: 4, weight: 1, score: 99 },
    ]
    const { density } = (await summarizeLedger([part(rows)], stepsOf(1, 1)))!
    expect(density).toMatchObject({ edges: [0, 1, 2], low: -1, high: 1 })
    const filled = density!.cells.map((column) => column.flatMap((n, cell) => (n > 0 ? [[cell, n]] : [])))
    expect(filled).toEqual([
      [
        [0, 50],
        [39, 100],
      ],
      [[20, 100]],
    ])
  })

  it('draws no map for logs without quantiles of the scores', async () => {
    const [{ scoreQuantiles: _, ...old }] = stepsOf(1) as [StepRecord]
    const summary = (await summarizeLedger([part([{ step: 1, sample: 0, weight: 1 }])], [old]))!
    expect(summary.density).toBeUndefined()
  })

  it('grows with the number of samples', async () => {
    const rows = Array.from({ length: 5000 }, (_, i) => ({ step: 1, sample: 3 * i, weight: i }))
    const summary = (await summarizeLedger([part(rows)], stepsOf(1)))!
    expect(summary.numSamples).toBe(5000)
    expect(summary.upWeighted[0]).toMatchObject({ index: 14_997, relativeWeight: 4999 })
  })
})
