import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { optim, scope, tensor, writeSafetensors } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { gradientInfluence, scoredShare } from '../catalog/less.js'
import { toolsOf } from '../catalog/preparation-tools.test.fixture.js'
import type { RunShape } from '../method/define-method.js'
import { trainingFlops } from '../method/flops.js'
import type { AdamMoments, PreparationTools } from '../method/index.js'
import { openGolden } from '../model/golden.test.fixture.js'
import { addLora, type CausalLM, LORA_DEFAULTS, loadModelFolder } from '../model/index.js'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  gradientValues,
  relativeDistance,
  type TestSample,
} from '../model/tiny-llama.test.fixture.js'
import { plainBackward } from '../train/plain-backward.test.fixture.js'
import { adamDirection, SampleGradients } from './sample-gradients.js'

const scratch = mkdtempSync(join(tmpdir(), 'adapt-sample-gradients-'))
afterAll(() => rmSync(scratch, { recursive: true }))

const draw = createTokens(43)
const sample: TestSample = { tokens: draw(9), labelsFrom: 3 }

describe('adamDirection', () => {
  it('gives the worked numbers with eps inside and outside of the root', () => {
    const direction = (epsMode: AdamMoments['epsMode']) =>
      scope(() => {
        const [g, m, v] = [
          [0.1, 0.05, -0.02],
          [0.01, -0.02, 0],
          [1e-4, 4e-4, 1e-6],
        ].map((values) => tensor(values, [3])) as [never, never, never]
        return adamDirection(g, m, v, { beta1: 0.9, beta2: 0.999, epsMode }).toFloat32Array()
      })
    for (const [i, value] of [1.81232, -0.648292, -1.684901].entries())
      expect(direction('inside')[i]).toBeCloseTo(value, 4)
    expect(direction('outside')[2]).toBeCloseTo(-1.690898, 4)
  })
})

describe('gradients of single samples', () => {
  it.each(['full', 'LoRA'])('are those of autograd, in the order of the optimiser: %s', (kind) => {
    using model = createTinyLlama()
    if (kind === 'LoRA') addLora(model, { ...LORA_DEFAULTS, r: 2, targetModules: 'all-linear' }, 1)
    const batch = batchOf([[sample]])
    plainBackward(model, batch)
    const values = gradientValues(model)
    const names = new Map(Array.from(model.namedParameters(), ([name, parameter]) => [parameter, name]))
    const adamw = new optim.AdamW(optim.decayGroups(model.trainableParameters(), 0.1))
    const expected = adamw.parameters.flatMap((parameter) => [...values.get(names.get(parameter)!)!])
    adamw.dispose()
    using gradients = new SampleGradients(model)
    const first = gradients.of(batch)
    expect(relativeDistance(first.toFloat32Array(), expected)).toBeLessThan(1e-5)
    const other = gradients.of(batchOf([[{ tokens: draw(5) }]]))
    expect(other).toBe(first)
    expect(relativeDistance(gradients.of(batch).toFloat32Array(), expected)).toBeLessThan(1e-5)
    expect(
      gradients
        .of(batchOf([[{ tokens: [4, 5], labelsFrom: 2 }]]))
        .toFloat32Array()
        .every((v) => v === 0),
    ).toBe(true)
    expect(() => gradients.of(batchOf([[sample], [sample]]))).toThrow(/expected one sample, received 2/)
  })
})

interface Values {
  readonly rates: number[]
  readonly samples: readonly { readonly tokens: number[]; readonly prompt: number }[]
  readonly anchors: readonly { readonly task: string; readonly tokens: number[] }[]
  readonly scores: Record<'inside' | 'outside' | 'sgd', number[]>
}

const golden = openGolden<Values>('less')

/** A checkpoint's moments as the reference has them. */
function momentsFolder(model: CausalLM, checkpoint: number): string {
  const folder = mkdtempSync(join(scratch, 'checkpoint-'))
  const names = new Map(Array.from(model.namedParameters(), ([name, parameter]) => [parameter, name]))
  const parameters = optim.decayGroups(model.trainableParameters(), 0).flatMap((group) => group.parameters)
  scope(() => {
    const tensors = parameters.flatMap((parameter, i) => {
      const phase = names.get(parameter)!.length + checkpoint
      const places = Array.from({ length: parameter.numel }, (_, k) => k)
      const first = Float32Array.from(places, (k) => 1e-3 * Math.sin(0.7 * k + phase))
      const second = Float32Array.from(places, (k) => 1e-6 * (1 + Math.cos(0.3 * k + checkpoint)) ** 2)
      return [
        [`exp_avg.${i}`, tensor(first, parameter.shape)],
        [`exp_avg_sq.${i}`, tensor(second, parameter.shape)],
      ] as const
    })
    writeSafetensors(join(folder, 'optimizer.safetensors'), new Map(tensors))
  })
  return folder
}

describe('influence', () => {
  const { samples, anchors, rates, scores } = golden.values
  const pool: readonly TestSample[] = [
    ...samples.map(({ tokens, prompt }) => ({ tokens, labelsFrom: Math.max(1, prompt) })),
    { tokens: [5, 6, 7], labelsFrom: 3 },
  ]
  const data = {
    numSamples: pool.length,
    sample: (index: number) => {
      const { tokens, labelsFrom = 1 } = pool[index]!
      return {
        ...{ index, id: `${index}`, source: 's', weight: 1, path: 'memory', line: index + 1 },
        tokens: Int32Array.from(tokens),
        labelMask: Uint8Array.from(tokens, (_, t) => (t >= labelsFrom ? 1 : 0)),
      }
    },
    length: (index: number) => pool[index]!.tokens.length,
  } as unknown as PreparationTools['data']

  async function influenceOf(options: {
    gradient: 'adam' | 'sgd'
    epsMode: 'inside' | 'outside'
    projection: number
  }) {
    using model = loadModelFolder(golden.modelFolder)
    const folders = rates.map((_, c) => momentsFolder(model, c))
    const made = new Map<string, SampleGradients>()
    const tools = toolsOf({
      data,
      passes: 1,
      anchors: anchors.map(({ task, tokens }) => batchOf([[{ tokens, source: task }]])),
      train: async () => ({
        checkpoints: folders.map((folder, c) => ({ folder, learningRate: rates[c]! })),
        lastEvents: new Map(),
      }),
      withModel: (_, use) => use(model),
      sampleGradient: (_, batch, moments) => {
        const key = JSON.stringify(moments ?? '')
        if (!made.has(key)) made.set(key, new SampleGradients(model, { moments }))
        return made.get(key)!.of(batch)
      },
      byChunk: async (_, width, compute) => {
        const values = await compute(Array.from({ length: pool.length }, (_, i) => i))
        expect(values).toHaveLength(width * pool.length)
        return values
      },
    })
    try {
      const { score_P } = await gradientInfluence.prepare!(
        {
          constants: 'paper',
          warmupShare: 0.05,
          warmupEpochs: 4,
          checkpoints: 2,
          scored: 'auto',
          ...options,
        },
        tools,
      )
      return [...score_P!]
    } finally {
      for (const gradients of made.values()) gradients[Symbol.dispose]()
    }
  }

  it.each([
    ['adam', 'inside', 'inside'],
    ['adam', 'outside', 'outside'],
    ['sgd', 'inside', 'sgd'],
  ] as const)('is that of explicit gradients by autograd: %s, eps %s', async (gradient, epsMode, kind) => {
    const found = await influenceOf({ gradient, epsMode, projection: 1_000_000 })
    expect(found.pop()).toBe(Number.NEGATIVE_INFINITY)
    expect(relativeDistance(found, scores[kind])).toBeLessThan(golden.tolerance)
  })

  it('is near it after a projection', async () => {
    const found = await influenceOf({ gradient: 'sgd', epsMode: 'inside', projection: 8192 })
    found.pop()
    for (const [i, score] of scores.sgd.entries()) expect(Math.abs(found[i]! - score)).toBeLessThan(0.06)
  })
})

describe('what is scored', () => {
  const base = { warmupShare: 0.05, scored: 'auto', gradient: 'adam', epsMode: 'inside' } as const
  const scaled = { ...base, constants: 'scaled', warmupEpochs: 1, checkpoints: 1, projection: 8 } as const
  const paper = { ...base, constants: 'paper', warmupEpochs: 4, checkpoints: 4, projection: 8 } as const
  const shapeOf = (passes: number, more: Partial<RunShape> = {}): RunShape => ({
    ...{ params: 1e6, trainable: 1, samples: 1000, tokensPerPass: 1e5, tokens: passes * 1e5 },
    ...{ steps: 100, stepsPerEpoch: 100 / passes, anchors: 0, tokensPerAnchor: 50 },
    ...more,
  })

  it('fits a quarter of the run unless the constants are those of the source', () => {
    expect(scoredShare(scaled, shapeOf(1))).toBeCloseTo(0.2)
    expect(scoredShare(scaled, shapeOf(2))).toBeCloseTo(0.45)
    expect(scoredShare(scaled, shapeOf(8))).toBe(1)
    expect(scoredShare(paper, shapeOf(1))).toBe(1)
    expect(scoredShare({ ...scaled, scored: 0.7 }, shapeOf(1))).toBe(0.7)
  })

  it.each([
    ['projections', { trainable: 1e6 }, { projection: 100 }],
    ['the gradients of anchors', { anchors: 60 }, {}],
    ['the projections of a frozen model', { trainable: 1e5, frozenBase: true }, { projection: 100 }],
  ])('fits with %s', (_, shape, options) => {
    const [run, all] = [shapeOf(1, shape), { ...scaled, ...options }]
    const training = trainingFlops(run.params, run.tokens, { frozenBase: run.frozenBase ?? false })
    expect(scoredShare(all, run)).toBeLessThan(0.19)
    expect(gradientInfluence.cost!(all, run).preparation / training).toBeCloseTo(0.25, 9)
  })
})
