import { describe, expect, it } from 'vitest'
import type { MethodInput } from '../catalog/index.js'
import type { Signal } from '../method/index.js'
import { batchOf, createTinyLlama, relativeDistance } from '../model/tiny-llama.test.fixture.js'
import { createConstantSignal } from '../signal/index.js'
import { forwardFlops, trainingFlops } from './flops.js'
import type { StepEvents } from './trainer.js'
import { ANCHORS, createCase, methodOf, methodWith, rowsOfStep } from './training-case.test.fixture.js'

const batch = (step: number) => batchOf(rowsOfStep(step))
interface Refresh {
  readonly reason: string
  readonly numAnchors: number
  readonly flops: number
  readonly diagnostics: Readonly<Record<string, number>>
}
interface Calibration {
  readonly mu: number
  readonly tau: number
  readonly reached: boolean
}
const fieldsOf = <T>({ method }: StepEvents, kind: string) =>
  method.filter((event) => event.kind === kind).map(({ fields }) => fields as unknown as T)
const refreshesOf = (events: StepEvents) => fieldsOf<Refresh>(events, 'refresh')
const calibrationsOf = (events: StepEvents) => fieldsOf<Calibration>(events, 'calibration')
const stepsWith = <T>(n: number, fn: (step: number) => T) => Array.from({ length: n }, (_, step) => fn(step))

describe('Trainer', () => {
  it('counts steps from 1 and follows the schedule from its peak', () => {
    using training = createCase(methodOf({ preset: 'uniform' }), {
      totalSteps: 10,
      learningRate: 1,
      schedule: 'linear',
      warmupSteps: 2,
      minLearningRateRatio: 0.1,
    })
    const records = stepsWith(4, (step) => training.step([batch(step)]).record)
    expect(records.map(({ step }) => step)).toEqual([1, 2, 3, 4])
    for (const [i, rate] of [0, 0.5, 1, 0.1 + (0.9 * 7) / 8].entries()) {
      expect(records[i]!.learningRate).toBeCloseTo(rate, 12)
    }
  })

  it('counts labels, tokens and samples', () => {
    using training = createCase(methodOf({ preset: 'uniform' }))
    const batches = [batch(0), batchOf([[{ tokens: [5, 6, 7], labelsFrom: 2 }]])]
    const { record } = training.step(batches)
    const samples = batches.flatMap((b) => b.samples)
    expect(record.numSamples).toBe(samples.length)
    expect(record.numTokens).toBe(samples.reduce((sum, { numLabels }) => sum + numLabels, 0))
    expect(record.numTokensProcessed).toBe(samples.reduce((sum, { numTokens }) => sum + numTokens, 0))
    expect(Object.values(record.massBySource).reduce((a, b) => a + b)).toBeCloseTo(1, 12)
  })

  it('embeds the anchors before the first step and every refresh_every steps', () => {
    using training = createCase(methodOf({ preset: 'adapt', signal: { refresh_every: 3 } }))
    const steps = stepsWith(7, (step) => training.step([batch(step)]).events)
    const refreshes = steps.map((events) => refreshesOf(events)[0])
    expect(refreshes.map((refresh) => refresh !== undefined)).toEqual([
      true,
      false,
      false,
      true,
      false,
      false,
      true,
    ])
    const numTokens = ANCHORS.flatMap(({ samples }) => samples).reduce(
      (sum, sample) => sum + sample.numTokens,
      0,
    )
    expect(refreshes[3]!.numAnchors).toBe(9)
    expect(refreshes[3]!.flops).toBe(forwardFlops(training.model.numParameters, numTokens))
    expect(refreshes[3]!.diagnostics.staleness).toBeGreaterThan(0)
  })

  it('refreshes once an epoch where asked to', () => {
    using training = createCase(methodOf({ preset: 'adapt', signal: { refresh_every: 'epoch' } }))
    const refreshed = stepsWith(9, (step) => refreshesOf(training.step([batch(step)]).events).length > 0)
    expect(refreshed.map((yes, step) => (yes ? step : -1)).filter((step) => step >= 0)).toEqual([0, 4, 8])
  })

  it.each([
    ['rolling', { refresh: 'rolling', refresh_every: 4 }, ['start', 'rolling', 'rolling']],
    [
      'adaptive',
      { refresh: 'adaptive', probe_every: 1, refresh_min: 1, refresh_max: 4, drift: 2 },
      ['start', 'interval', 'interval'],
    ],
  ])('charges every token of a refresh that is %s when it is embedded, and reports it once', (_, signal, reasons) => {
    using training = createCase(methodOf({ preset: 'adapt', signal }))
    const steps = stepsWith(9, (step) => training.step([batch(step)]))
    const refreshes = steps.flatMap(({ events }) => refreshesOf(events))
    expect(refreshes.map(({ reason }) => reason)).toEqual(reasons)
    const charged = steps.map(({ record }, i) => record.flopsSignal - (steps[i - 1]?.record.flopsSignal ?? 0))
    expect(charged.every((flops) => flops > 0)).toBe(true)
    // Sums of whole numbers below 2^53: exact.
    expect(refreshes.reduce((sum, { flops }) => sum + flops, 0)).toBe(steps[8]!.record.flopsSignal)
  })

  it('weighs with 1 in the warm-up, then reports each calibration', () => {
    const gate = { ess: 0.8, warmup_ratio: 0.1, update_every: 3 }
    using training = createCase(
      methodOf({ preset: 'adapt-calibrated', gate, signal: { refresh_every: 100 } }),
    )
    const steps = stepsWith(10, (step) => training.step([batch(step)]))
    expect(steps.slice(0, 4).every(({ record }) => record.weightMean === 1)).toBe(true)
    expect(steps.map(({ events }) => calibrationsOf(events).length)).toEqual([0, 0, 0, 1, 0, 1, 0, 0, 1, 0])
    expect(steps.slice(4).every(({ record }) => record.weightMean < 0.9 && record.essRatio < 1)).toBe(true)
    expect(calibrationsOf(steps[3]!.events)[0]).toMatchObject({ reached: true })
  })

  it('weighs the first samples after a refresh with constants solved for the new centroid', () => {
    const gate = { ess: 0.8, warmup_ratio: 0.05, update_every: 1000 }
    using training = createCase(methodOf({ preset: 'adapt-calibrated', gate, signal: { refresh_every: 6 } }))
    for (let step = 0; step < 6; step++) training.step([batch(step)])
    const { events } = training.step([batch(6)])
    const calibrations = calibrationsOf(events)
    expect(calibrations).toHaveLength(1)
    const { mu, tau } = calibrations[0]!
    for (const { score, weight } of events.totals.samples) {
      expect(weight).toBeCloseTo(1 / (1 + Math.exp((mu - score) / tau)), 4)
    }
  })

  it('charges the method for its forwards, and recomputation to training', () => {
    const run = (gradientCheckpointing: boolean, score_eval: boolean) => {
      using training = createCase(methodOf({ preset: 'adapt', signal: { score_eval } }), {
        gradientCheckpointing,
      })
      const { record } = training.step([batch(0)])
      return { record, numParameters: training.model.numParameters }
    }
    const plain = run(false, false)
    const n = plain.record.numTokensProcessed
    expect(plain.record.flopsTrain).toBe(trainingFlops(plain.numParameters, n))
    const scored = run(true, true)
    expect(scored.record.flopsTrain).toBe(trainingFlops(plain.numParameters, n, { recompute: true }))
    expect(scored.record.flopsSignal - plain.record.flopsSignal).toBe(forwardFlops(plain.numParameters, n))
  })

  it.each<[string, MethodInput]>([
    ['softmax', { preset: 'adapt', gate: { kind: 'softmax', temperature: 0.2 } }],
    ['shuffled', { preset: 'adapt', gate: { temperature: 0.2 }, shuffle: true }],
    ['collapsed', { preset: 'adapt', gate: { temperature: 0.2 }, collapse: 'source' }],
  ])('weighs a %s step of one micro-batch from its training forward, and scores one of two apart', (_, method) => {
    const rows = rowsOfStep(0)
    const run = (parts: readonly (typeof rows)[]) => {
      using training = createCase(methodOf(method))
      const { record, events } = training.step(parts.map((part) => batchOf(part)))
      const { samples } = events.totals
      return {
        scoring: record.flopsSignal - refreshesOf(events)[0]!.flops,
        forward: forwardFlops(training.model.numParameters, record.numTokensProcessed),
        ids: samples.map(({ id }) => id),
        weights: samples.map(({ weight }) => weight),
        scores: samples.map(({ score }) => score),
      }
    }
    const once = run([rows])
    const twice = run([rows.slice(0, 2), rows.slice(2)])
    expect([once.scoring, twice.scoring]).toEqual([0, twice.forward])
    expect(twice.ids).toEqual(once.ids)
    expect(relativeDistance(twice.weights, once.weights)).toBeLessThan(1e-6)
    expect(relativeDistance(twice.scores, once.scores)).toBeLessThan(1e-6)
    expect(new Set(once.weights).size).toBeGreaterThan(1)
  })

  it('clips the gradient of the whole step and reports its norm before', () => {
    const normOf = (maxGradNorm: number | undefined) => {
      using training = createCase(methodOf({ preset: 'uniform' }), { learningRate: 0, maxGradNorm })
      const { record } = training.step([batch(0), batch(1)])
      const gradients = training.model.parameters().flatMap((p) => [...(p.grad?.toFloat32Array() ?? [])])
      return [record.gradNorm, Math.hypot(...gradients)] as const
    }
    const [reported, actual] = normOf(undefined)
    expect(Math.abs(actual / reported - 1)).toBeLessThan(1e-5)
    const [before, after] = normOf(0.25)
    expect(before).toBeCloseTo(reported, 5)
    expect(after).toBeCloseTo(0.25, 5)
    expect(normOf(1e9)[1]).toBeCloseTo(actual, 5)
  })

  it('gives the same run to the bit when it is repeated', () => {
    const run = () => {
      using training = createCase(methodOf({ preset: 'adapt-calibrated', gate: { warmup_ratio: 0.05 } }))
      return stepsWith(6, (step) => {
        const { lossWeighted, gradNorm, weightQuantiles } = training.step([batch(step)]).record
        return { lossWeighted, gradNorm, weightQuantiles }
      })
    }
    expect(run()).toEqual(run())
  })

  it('hands a signal the losses of its samples when it asks for them', () => {
    const seen: number[] = []
    const constant = createConstantSignal()
    const signal: Signal = {
      score: (evidence, facts) => {
        seen.push(...evidence.sampleLoss_S().toFloat32Array())
        return constant.score(evidence, facts)
      },
    }
    using training = createCase(methodWith({ signal }), { model: createTinyLlama() })
    const { samples } = training.step([
      batchOf([[{ tokens: [5, 6, 7] }, { tokens: [8] }], [{ tokens: [9, 10] }]]),
    ]).events.totals
    expect(seen).toHaveLength(3)
    for (const [i, { loss }] of samples.entries()) expect(seen[i]).toBeCloseTo(loss, 5)
    expect(seen[1]).toBe(0)
  })
})
