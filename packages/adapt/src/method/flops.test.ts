import { describe, expect, it } from 'vitest'
import {
  adaptFlops,
  dogeFlops,
  doremiFlops,
  embeddingSelectionFlops,
  forwardFlops,
  greatsStepFlops,
  lessFlops,
  numRefreshes,
  perplexitySelectionFlops,
  rdsFlops,
  refreshFlops,
  regmixFlops,
  rho1Flops,
  rhoLossPreparationFlops,
  rhoLossStepFlops,
  tokensCharged,
  trainingFlops,
} from './flops.js'

/** The published figures carry five digits. */
function expectFigure(value: number, figure: number): void {
  expect(value.toExponential(4)).toBe(figure.toExponential(4))
}

const tuning = { params: 6.738e9, samples: 270_679, context: 2048 }
const tuningTokens = tokensCharged('padded', { ...tuning, realTokens: 0 })

describe('instruction tuning of a 7B model', () => {
  it('charges the full context per sample, or the true lengths', () => {
    expect(tuningTokens).toBe(554_350_592)
    expect(tokensCharged('real', { samples: 3, context: 2048, realTokens: 500 })).toBe(500)
  })

  it('gives the cost of an epoch, of two epochs at 6N and 8N, and of a 2.5 % subset', () => {
    expectFigure(trainingFlops(tuning.params, tuningTokens), 2.2411e19)
    expectFigure(trainingFlops(tuning.params, 2 * tuningTokens), 4.4823e19)
    const anchors = { count: 285, tokensEach: 2048, refreshes: 85 }
    const run = adaptFlops({ params: tuning.params, tokens: 2 * tuningTokens, anchors })
    expectFigure(run.totalPaper8N, 5.9763e19)
    const subset = Math.floor(0.025 * tuning.samples)
    expect(subset).toBe(6766)
    expectFigure(trainingFlops(tuning.params, subset * tuning.context), 5.602e17)
  })

  it('gives the cost of perplexity, embedding and state selection', () => {
    expectFigure(perplexitySelectionFlops(tuning.params, tuningTokens), 7.4704e18)
    const encoder = { encoderParams: 1.1e8, encoderContext: 256, samples: tuning.samples, anchors: 57 }
    expectFigure(embeddingSelectionFlops(encoder), 1.5248e16)
    const rds = rdsFlops({ ...tuning, anchors: 285, width: 4096 })
    expect(rds).toBe(forwardFlops(tuning.params, 2048 * (270_679 + 285)) + 2 * 285 * 270_679 * 4096)
  })

  it('gives the parts of LESS', () => {
    const less = lessFlops({
      ...tuning,
      anchors: 285,
      warmupFraction: 0.05,
      warmupEpochs: 4,
      checkpoints: 4,
      loraParams: 134_217_728,
      projectionWidth: 8192,
    })
    expectFigure(less.warmup, 4.4823e18)
    expectFigure(less.gradients, 8.9645e19)
    expectFigure(less.validation, 9.4388e16)
    expectFigure(less.projection, 2.3834e18)
    expect(less.similarity).toBe(4 * 2 * 270_679 * 285 * 8192)
    expect(less.total).toBe(
      less.warmup + less.gradients + less.validation + less.projection + less.similarity,
    )
  })

  it('gives one refresh of 285 anchors and 85 refreshes as 1.4916 % of training', () => {
    const anchors = { count: 285, tokensEach: 2048 }
    expectFigure(refreshFlops(tuning.params, anchors), 7.8657e15)
    expect(numRefreshes(4220, 50)).toBe(85)
    const run = { params: tuning.params, tokens: 2 * tuningTokens, anchors: { ...anchors, refreshes: 85 } }
    const fused = adaptFlops(run)
    expectFigure(fused.signalMeasured, 6.6858e17)
    expectFigure((100 * fused.signalMeasured) / fused.train, 1.4916)
    expect(fused.totalMeasured).toBe(fused.train + fused.signalMeasured)
    const separate = adaptFlops({ ...run, scoring: 'separate' })
    expect(separate.signalMeasured).toBe(fused.signalMeasured + fused.signalPaper8N)
    expect(fused.signalPaper8N / fused.train).toBeCloseTo(1 / 3, 12)
  })
})

describe('pretraining of a 120M model on 50B tokens', () => {
  const params = 1.2e8
  const anchors = { count: 400, tokensEach: 2048 }
  const train = trainingFlops(params, 50e9)

  it('gives the training cost and one refresh of 400 anchors', () => {
    expectFigure(train, 3.6e19)
    expectFigure(refreshFlops(params, anchors), 1.9661e14)
  })

  it('gives the refresh cost at three intervals, counted as the ratio of steps to interval', () => {
    const steps = Math.ceil(50e9 / (512 * 2048))
    expect(steps).toBe(47_684)
    for (const [every, figure] of [
      [50, 1.875e17],
      [500, 1.875e16],
      [5000, 1.875e15],
    ] as const) {
      expectFigure(refreshFlops(params, { ...anchors, refreshes: steps / every }), figure)
    }
    expect((100 * refreshFlops(params, { ...anchors, refreshes: steps / 50 })) / train).toBeCloseTo(0.52, 2)
  })

  it('gives the overheads that pin the published protocol down', () => {
    expectFigure(refreshFlops(params, { ...anchors, refreshes: 50 / 9 }), 1.0923e15)
    expectFigure(regmixFlops({ runs: 512, proxyParams: 1e6, proxyTokens: 1e9 }), 3.072e18)
    const withEmbeddings = regmixFlops({ runs: 512, proxyParams: 1e6 + 50_257 * 512, proxyTokens: 1e9 })
    expect(Math.abs(withEmbeddings / 8.4e19 - 1)).toBeLessThan(0.03)
    const doremi = { referenceParams: 1.23e8, referenceTokens: 0, proxyParams: 1.23e8, proxyTokens: 5e10 }
    expectFigure(doremiFlops(doremi), 4.92e19)
    expect(doremiFlops({ ...doremi, referenceTokens: 5e10 })).toBe(14 * 1.23e8 * 5e10)
  })
})

describe('refinements of the base counts', () => {
  it('adds the attention term in the published proportions', () => {
    const large = { layers: 32, width: 4096, context: 2048 }
    const small = { layers: 12, width: 768, context: 2048 }
    expect(forwardFlops(6.738e9, 1, { attention: large }) / forwardFlops(6.738e9, 1) - 1).toBeCloseTo(
      0.0398,
      4,
    )
    expect(forwardFlops(1.2e8, 1, { attention: small }) / forwardFlops(1.2e8, 1) - 1).toBeCloseTo(0.157, 3)
    const extra = trainingFlops(1.2e8, 1, { attention: small }) - trainingFlops(1.2e8, 1)
    expect(extra).toBe(3 * (forwardFlops(1.2e8, 1, { attention: small }) - forwardFlops(1.2e8, 1)))
  })

  it('charges recomputation 2N, and a frozen base 4N or 6N', () => {
    expect(trainingFlops(10, 7, { recompute: true })).toBe(8 * 10 * 7)
    expect(trainingFlops(10, 7, { frozenBase: true })).toBe(4 * 10 * 7)
    expect(trainingFlops(10, 7, { frozenBase: true, recompute: true })).toBe(6 * 10 * 7)
  })
})

describe('methods with proxies, reference models or selected batches', () => {
  it('gives the published ratio for one tenth kept by RHO-LOSS', () => {
    const step = rhoLossStepFlops({ params: 1e6, context: 128, largeBatch: 320, keptBatch: 32 })
    expect(step / trainingFlops(1e6, 128 * 32)).toBeCloseTo(4.3333, 4)
    expect(rhoLossPreparationFlops({ holdoutParams: 10, holdoutTokens: 100, tokens: 1000 })).toBe(
      6000 + 20_000,
    )
  })

  it('follows the formulas of DoGE, GREATS and Rho-1', () => {
    expect(dogeFlops({ proxyParams: 10, proxyTokens: 100, proxySteps: 5, domains: 3 })).toBe(
      6000 + 2 * 9 * 10 * 5,
    )
    const greats = { params: 10, context: 8, batch: 4, validationBatch: 2 }
    expect(greatsStepFlops({ ...greats, rerun: false })).toBe(60 * 8 * 10)
    expect(greatsStepFlops({ ...greats, rerun: true })).toBe(60 * 8 * 14)
    expect(rho1Flops({ referenceParams: 10, referenceTokens: 100, tokens: 1000 })).toBe(6000 + 20_000)
  })
})
