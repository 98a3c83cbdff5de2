// What the methods of the list cost, against the magnitudes that papers and reviews give.
import { describe, expect, it } from 'vitest'
import type { RunShape } from '../method/define-method.js'
import { forwardFlops, trainingFlops } from '../method/flops.js'
import { scoredShare } from '../method/scored-share.js'
import type { MethodInput } from './method-config.js'
import { costOf, partsOf, scoringFlops } from './method-parts.js'
import { resolveMethod } from './resolve-method.js'

const configOf = (input: MethodInput) =>
  resolveMethod(input, (path, message) => {
    throw new Error(`${path.join('.')}: ${message}`)
  })
const cost = (input: MethodInput, shape: RunShape) => costOf(configOf(input), shape)

/** The published figures carry five digits. */
function expectFigure(value: number, figure: number): void {
  expect(value.toExponential(4)).toBe(figure.toExponential(4))
}

/** Two epochs of a 7B model over 270,679 samples, each charged 2048 tokens, with adapters of rank 128 on q, k, v and o. */
const TUNING: RunShape = {
  params: 6.738e9,
  trainable: 134_217_728,
  samples: 270_679,
  tokensPerPass: 270_679 * 2048,
  tokens: 2 * 270_679 * 2048,
  steps: 4220,
  stepsPerEpoch: 2110,
  anchors: 285,
  tokensPerAnchor: 2048,
}

describe('instruction tuning of a 7B model', () => {
  it('costs 2.2411e19 an epoch, 4.4823e19 at 6N and 5.9763e19 at 8N', () => {
    const { params, tokens, tokensPerPass } = TUNING
    expectFigure(trainingFlops(params, tokensPerPass), 2.2411e19)
    expectFigure(trainingFlops(params, tokens), 4.4823e19)
    expectFigure(trainingFlops(params, tokens) + forwardFlops(params, tokens), 5.9763e19)
    expectFigure(trainingFlops(params, Math.floor(0.025 * TUNING.samples) * 2048), 5.602e17)
  })

  it('costs adapt 85 refreshes of 285 anchors: 1.4916 % of training', () => {
    const { signal, preparation } = cost({ preset: 'adapt' }, TUNING)
    expect(preparation).toBe(0)
    expectFigure(signal, 6.6858e17)
    expectFigure(signal / 85, 7.8657e15)
    expectFigure((100 * signal) / trainingFlops(TUNING.params, TUNING.tokens), 1.4916)
  })

  it('costs adapt one more forward a token where the scoring forward is its own', () => {
    const shape = { params: TUNING.params, tokens: TUNING.tokens, microBatches: 32 }
    expect(scoringFlops(partsOf(configOf({ preset: 'adapt' })), shape)).toBe(0)
    const separate = configOf({ preset: 'adapt', signal: { score_eval: true } })
    expect(scoringFlops(partsOf(separate), shape)).toBe(forwardFlops(TUNING.params, TUNING.tokens))
  })

  it("costs LESS a warm-up, gradients at four checkpoints and the projection of the adapters' gradients", () => {
    const less = (signal: Record<string, unknown>, shape = TUNING) =>
      cost({ preset: 'less', signal: { constants: 'paper', projection: 1_000_000, ...signal } }, shape)
        .preparation
    const narrow = { ...TUNING, trainable: 1 }
    const withoutAnchors = { ...narrow, anchors: 0 }
    expect(less({}, withoutAnchors) / (4.4819e18 + 8.9645e19)).toBeCloseTo(1, 4)
    expect(less({ checkpoints: 1 }, withoutAnchors) / (4.4819e18 + 8.9645e19 / 4)).toBeCloseTo(1, 4)
    expectFigure(less({}, narrow) - less({}, withoutAnchors), 9.4388e16)
    expectFigure(less({ projection: 8192 }) - less({ projection: 8192 }, narrow), 2.3834e18)
  })

  it('costs ppl a forward of the pool, of every window where samples have several', () => {
    expectFigure(cost({ preset: 'ppl', signal: { scored: 1 } }, TUNING).preparation, 7.4704e18)
    const { preparation } = cost(
      { preset: 'ppl', signal: { model: 'x', scored: 1 } },
      { ...TUNING, paramsRead: { model: 1e9 } },
    )
    expect(preparation).toBe(forwardFlops(1e9, 2048 * 270_679))
    const long = { ...TUNING, params: 1, samples: 1, tokensPerPass: 5000 }
    expect(cost({ preset: 'ppl', signal: { scored: 1 } }, long).preparation).toBe(
      2 * (6 * 2048 + 5000 - 3072),
    )
  })

  it('costs rds-plus a forward of pool and anchors', () => {
    const { preparation } = cost({ preset: 'rds-plus', signal: { scored: 1 } }, TUNING)
    expect(preparation).toBe(forwardFlops(TUNING.params, 2048 * (270_679 + 285)))
  })
})

/** 50B tokens of a 120M model, 9B of them different, in batches of 512 x 2048. */
const PRETRAINING: RunShape = {
  params: 1.2e8,
  trainable: 1.2e8,
  samples: 9e9 / 2048,
  tokensPerPass: 9e9,
  tokens: 50e9,
  steps: 47_684,
  stepsPerEpoch: 47_684 / (50 / 9),
  anchors: 400,
  tokensPerAnchor: 2048,
}

describe('pretraining of a 120M model on 50B tokens', () => {
  const adapt = (every: number | string) =>
    cost({ preset: 'adapt', signal: { refresh_every: every } }, PRETRAINING).signal

  it('costs 3.6e19', () => {
    expectFigure(trainingFlops(PRETRAINING.params, PRETRAINING.tokens), 3.6e19)
  })

  it('costs adapt its refreshes, by their interval: 0.52 % of training at 50 steps', () => {
    const one = 1.9661e14
    // Published as steps over interval; the last interval is a whole refresh here.
    for (const [every, figure] of [
      [50, 1.875e17],
      [500, 1.875e16],
      [5000, 1.875e15],
    ] as const) {
      expect(Math.abs(adapt(every) - figure)).toBeLessThan(one)
    }
    expect((100 * adapt(50)) / 3.6e19).toBeCloseTo(0.52, 2)
    expect(Math.abs(adapt('epoch') - 1.0923e15)).toBeLessThan(one)
  })
})

describe('methods that read anchors before a sample', () => {
  const ica = (rounds: number, epochs: number) => {
    const tokensPerPass = TUNING.samples * 2048
    const shape = { ...TUNING, anchors: 3, tokensPerPass, tokens: epochs * tokensPerPass }
    const { preparation, signal } = cost({ preset: 'ica', signal: { rounds, scored: 1 } }, shape)
    const training = trainingFlops(TUNING.params, shape.tokens)
    return [preparation / training, signal / training] as const
  }

  it('cost ICA 1.6667 of one epoch with three anchors as long as the sample, 0.5556 of three, in every round', () => {
    expect(ica(1, 1)[0]).toBeCloseTo(1.6667, 3)
    expect(ica(1, 3)[0]).toBeCloseTo(0.5556, 4)
    expect(ica(1, 1)[1]).toBe(0)
    expect(ica(5, 3)).toEqual([ica(1, 3)[0], expect.closeTo(4 * 0.5556, 3)])
  })
})

describe('methods that draw more than they train', () => {
  it('costs RHO-LOSS 4.3333 times the training of what it keeps, at a tenth', () => {
    const parts = partsOf(configOf({ preset: 'rho-loss', gate: { keep: 0.1 } }))
    const run = { params: 1e6, tokens: 128 * 32, microBatches: 1 }
    const training = trainingFlops(run.params, run.tokens)
    expect((scoringFlops(parts, run) + training) / training).toBeCloseTo(4.3333, 4)
  })

  it('costs GREATS 6 N of twice what it trains and of its validation anchors', () => {
    const config = configOf({ preset: 'greats', gate: { keep: 0.5 }, signal: { validation: 2 } })
    const run = { params: 10, tokens: 8 * 4, microBatches: 1 }
    const shape = { ...PRETRAINING, params: 10, trainable: 10, tokens: 32, steps: 1, tokensPerAnchor: 8 }
    expect(scoringFlops(partsOf(config), run) + costOf(config, shape).signal).toBe(6 * 10 * 8 * (2 * 4 + 2))
  })

  it('costs OPUS 1.5 times its training with 512 of 2,048 tokens scored and a quarter kept, two thirds of that at 4 N a token', () => {
    const opus = (tokensPerSample: number, keep: number, kept: number, validation: number) => {
      const config = configOf({ preset: 'opus', gate: { keep }, signal: { validation } })
      const run = { params: 10, tokens: kept * tokensPerSample, microBatches: 1, tokensPerSample }
      const shape = { ...PRETRAINING, params: 10, trainable: 10, steps: 1, tokensPerAnchor: tokensPerSample }
      const scoring = scoringFlops(partsOf(config), run) + costOf(config, shape).signal
      return scoring / trainingFlops(run.params, run.tokens)
    }
    expect(opus(2048, 0.25, 4, 8)).toBeCloseTo(1.5, 12)
    expect((opus(6144, 0.5, 16, 16) * 4) / 6).toBeCloseTo(1 / 6, 12)
  })

  it('costs Rho-1 the training of its reference and a forward of the pool', () => {
    const { preparation } = cost({ preset: 'rho-1', signal: { reference_steps: 0.1 } }, PRETRAINING)
    expect(preparation / (6 * 1.2e8 * 5e9 + 2 * 1.2e8 * 9e9)).toBeCloseTo(1, 12)
  })
})

describe('preparation by default', () => {
  const SHORT = { ...TUNING, tokens: TUNING.tokensPerPass, anchors: 8 }
  const cases = [
    ...['ppl', 'embedding', 'rds', 'rds-plus', 'near', 'ica', 'tacs', 'prift-mass', 'tsds'].map((preset) => ({
      preset,
    })),
    { preset: 'dft', signal: { reference: 'base' } },
  ] as readonly MethodInput[]

  it.each(
    cases.map((input) => [input.preset, input] as const),
  )('of %s takes at most a quarter of the FLOPs of a run of one pass, and less of a share that is said', (_, input) => {
    const share = (more: object, shape: RunShape) => {
      const { preparation } = cost({ ...input, signal: { ...input.signal, ...more } } as MethodInput, shape)
      return preparation / trainingFlops(shape.params, shape.tokens)
    }
    const usual = share({}, SHORT)
    // Of embedding less: it reads the first 256 tokens alone.
    expect(usual).toBeGreaterThan(0.04)
    expect(usual).toBeLessThan(0.2501)
    expect(share({ scored: 1 }, SHORT)).toBeGreaterThanOrEqual(usual)
    expect(share({ scored: 0.1 }, SHORT)).toBeLessThan(share({ scored: 0.2 }, SHORT))
  })

  it('looks at all of the pool where a run is long enough for that, and at least at a twentieth', () => {
    const { signal, signalOptions } = partsOf(configOf({ preset: 'ppl' }))
    const shareOf = (passes: number) =>
      scoredShare(signal, signalOptions, { ...TUNING, tokens: passes * TUNING.tokensPerPass })
    expect([0.01, 1, 1.2, 2].map(shareOf)).toEqual([0.05, expect.closeTo(0.75, 9), expect.closeTo(0.9, 9), 1])
  })
})
