import { distributed, matmul, scope, type Tensor, tensor, transpose } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../batch/index.js'
import { type Evidence, type LinearFactors, linearFactors } from '../method/index.js'
import { addLora, type CausalLM, LORA_DEFAULTS } from '../model/index.js'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  gradientValues,
  parameterValues,
  relativeDistance,
  setValues,
  type TestSample,
} from '../model/tiny-llama.test.fixture.js'
import { type StepProductPlan, stepProducts } from '../signal/step-products.js'
import { plainBackward } from './plain-backward.test.fixture.js'

const draw = createTokens(41)
const SAMPLES: readonly TestSample[] = [
  { tokens: draw(7) },
  { tokens: draw(4), labelsFrom: 2 },
  { tokens: draw(9), labelsFrom: 5 },
  { tokens: draw(7) },
  { tokens: [5, 6, 7], labelsFrom: 3 },
]

/** Ways to lay the samples out, each of which reaches the model in another form. */
const LAYOUTS: Readonly<Record<string, Batch>> = {
  'one a row, padded': batchOf(SAMPLES.map((sample) => [sample])),
  'one a row, of one length': batchOf([[SAMPLES[0]!], [SAMPLES[3]!]]),
  'packed, without much padding': batchOf([
    [SAMPLES[0]!, SAMPLES[1]!],
    [SAMPLES[2]!, SAMPLES[4]!],
  ]),
  'packed, with padding': batchOf([[SAMPLES[0]!, SAMPLES[1]!, SAMPLES[2]!], [SAMPLES[3]!]]),
}

function loraLlama(): CausalLM {
  const model = createTinyLlama()
  addLora(model, { ...LORA_DEFAULTS, r: 3, targetModules: ['q_proj', 'v_proj', 'down_proj'] }, 3)
  const noise = createTokens(7, 60)
  for (const [name, parameter] of model.namedParameters()) {
    if (name.endsWith('lora.B'))
      setValues(
        parameter,
        Float32Array.from(noise(parameter.numel), (v) => (v - 30) / 100),
      )
  }
  return model
}

const MODELS = { full: () => createTinyLlama(), LoRA: loraLlama } as const

/** Gradients of one sample's mean loss by autograd, by the names of the layers. */
function explicitGradients(model: CausalLM, batch: Batch, sample: number, names: readonly string[]) {
  const { index, numLabels } = batch.samples[sample]!
  const alone = SAMPLES.filter((_, i) => samplesOf(batch)[sample] === i)
  if (numLabels === 0) return new Map(names.map((name) => [name, undefined]))
  model.zeroGrad()
  plainBackward(model, batchOf([[alone[0]!]]))
  const gradients = gradientValues(model)
  model.zeroGrad()
  expect(index).toBeGreaterThanOrEqual(0)
  return new Map(names.map((name) => [name, gradients.get(name)]))
}

/** Which of {@link SAMPLES} each sample of a batch is: by its tokens. */
function samplesOf({ tokens_BT, segment_BT, samples }: Batch): number[] {
  return samples.map((_, segment) => {
    const tokens = [...tokens_BT].filter((_, i) => segment_BT[i] === segment)
    return SAMPLES.findIndex((sample) => sample.tokens.join() === tokens.join())
  })
}

const cases = Object.keys(MODELS).flatMap((model) =>
  Object.keys(LAYOUTS).map((layout) => [model as keyof typeof MODELS, layout] as const),
)

describe.each(cases)('factors of %s training, %s', (kind, layout) => {
  const batch = LAYOUTS[layout]!

  it('give the gradients of every sample as autograd has them for it alone', () => {
    using model = MODELS[kind]()
    scope(() => {
      const { layers, sampleOf_P } = linearFactors(model, batch)
      const names = layers.map(({ name }) => name)
      const trained = Array.from(model.namedParameters()).flatMap(([name, parameter]) =>
        parameter.requiresGrad && /_proj\.(weight|lora)/.test(name) ? [name] : [],
      )
      expect([...names].sort()).toEqual(trained.sort())
      expect(sampleOf_P).toHaveLength(batch.segment_BT.filter((segment) => segment >= 0).length)
      for (const sample of batch.samples.keys()) {
        const expected = explicitGradients(model, batch, sample, names)
        const own = tensor(
          Float32Array.from(sampleOf_P, (of) => (of === sample ? 1 : 0)),
          [1, sampleOf_P.length],
        )
        for (const { name, input_PI, gradient_PO } of layers) {
          const masked_OP = scope(() => mulRows(transpose(gradient_PO, 0, 1), own))
          const gradient = matmul(masked_OP, input_PI).toFloat32Array()
          const explicit = expected.get(name) ?? new Float32Array(gradient.length)
          expect(relativeDistance(gradient, explicit), `${name} of sample ${sample}`).toBeLessThan(1e-5)
        }
      }
    })
  })

  it('give products of samples in both ways and in blocks of any size', () => {
    using model = MODELS[kind]()
    scope(() => {
      const factors = linearFactors(model, batch)
      const names = factors.layers.map(({ name }) => name)
      const count = batch.samples.length
      const flat = Array.from({ length: count }, (_, i) => {
        const gradients = explicitGradients(model, batch, i, names)
        return names.flatMap((name) => [...(gradients.get(name) ?? [])])
      })
      const expected = flat.flatMap((a) =>
        flat.map((b) => (a.length && b.length ? a.reduce((sum, value, k) => sum + value * b[k]!, 0) : 0)),
      )
      for (const way of ['positions', 'explicit', undefined] as const) {
        for (const blockSize of [1, 700, 2 ** 24]) {
          const products = productsOf(factors, batch, { blockSize, ...(way ? { way } : {}) })
          expect(relativeDistance(products, expected)).toBeLessThan(1e-5)
        }
      }
    })
  })
})

/** Of all samples, those without labels too. */
function productsOf(factors: LinearFactors, batch: Batch, plan: StepProductPlan = {}): Float32Array {
  const samples = batch.samples.map((sample) => ({ ...sample, numLabels: 1 }))
  const step = [{ batch: { ...batch, samples }, factors: () => factors }] as unknown as Evidence[]
  const { device } = factors.layers[0]!.input_PI
  return stepProducts(step, { collective: distributed.singleProcess, device }, plan).toFloat32Array()
}

function mulRows(x: Tensor, row: Tensor): Tensor {
  const values = x.toFloat32Array()
  const mask = row.toFloat32Array()
  return tensor(
    values.map((value, i) => value * mask[i % mask.length]!),
    x.shape,
    { device: x.device },
  )
}

describe('factors', () => {
  it('agree with finite differences of the losses', () => {
    using model = createTinyLlama()
    const batch = LAYOUTS['packed, without much padding']!
    const name = 'model.layers.1.mlp.down_proj.weight'
    const weight = [...model.namedParameters()].find(([other]) => other === name)![1]
    const gradient = scope(() => {
      const layer = linearFactors(model, batch).layers.find((one) => one.name === name)!
      return matmul(transpose(layer.gradient_PO, 0, 1), layer.input_PI).toFloat32Array()
    })
    const values = weight.toFloat32Array()
    // Largest entries, where rounding matters least.
    const places = [...gradient.keys()].sort((a, b) => Math.abs(gradient[b]!) - Math.abs(gradient[a]!))
    const sumOfMeans = () =>
      samplesOf(batch).reduce((sum, i) => {
        const alone = batchOf([[SAMPLES[i]!]])
        return alone.samples[0]!.numLabels === 0 ? sum : sum + plainBackward(model, alone)
      }, 0)
    const STEP = 0.01
    for (const place of places.slice(0, 4)) {
      const [up, down] = [STEP, -STEP].map((step) => {
        const moved = values.slice()
        moved[place]! += step
        setValues(weight, moved)
        return sumOfMeans()
      }) as [number, number]
      setValues(weight, values)
      const difference = (up - down) / (2 * STEP)
      expect(Math.abs(difference / gradient[place]! - 1)).toBeLessThan(5e-3)
    }
  })

  it('leave gradients, mode and parameters of the model alone, and no tensor behind', () => {
    using model = createTinyLlama()
    model.train()
    plainBackward(model, LAYOUTS['one a row, padded']!)
    const [gradients, parameters] = [gradientValues(model), parameterValues(model)]
    scope(() => linearFactors(model, LAYOUTS['packed, with padding']!))
    expect(gradientValues(model)).toEqual(gradients)
    expect(parameterValues(model)).toEqual(parameters)
    expect(model.training).toBe(true)
  })

  it('of a batch without labels are zero', () => {
    using model = createTinyLlama()
    scope(() => {
      const { layers } = linearFactors(model, batchOf([[SAMPLES[4]!]]))
      for (const { gradient_PO } of layers)
        expect(Math.max(...gradient_PO.toFloat32Array().map(Math.abs))).toBe(0)
    })
  })

  it('under bfloat16 are near those of float32', () => {
    using model = createTinyLlama()
    const batch = LAYOUTS['one a row, padded']!
    const products = (autocastDtype?: 'bfloat16') =>
      scope(() => {
        const factors = linearFactors(model, batch, autocastDtype ? { autocastDtype } : {})
        return productsOf(factors, batch)
      })
    expect(relativeDistance(products('bfloat16'), products())).toBeLessThan(0.05)
  })
})
