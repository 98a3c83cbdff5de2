import { full, hasOperator, scope, zeros } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import type { Batch } from '../../batch/index.js'
import { ConfigError } from '../../errors.js'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  gradientValues,
  relativeDistance,
} from '../tiny-llama.test.fixture.js'
import { hasSequenceAttention } from './attend-sequences.js'
import { hasFusedAttention } from './attention.js'
import { embedTokens, runForward, runTappedForward } from './forward-pass.js'
import { toModelInputs } from './model-inputs.js'

const model = createTinyLlama()
afterAll(() => model.dispose())
const draw = createTokens(3)
const A = { tokens: draw(5) }
const B = { tokens: draw(3) }
const C = { tokens: draw(7) }

/** Hidden states by sample, without padding. */
function hiddenBySample(batch: Batch): Map<string, number[]> {
  const hidden = scope(() => embedTokens(model, toModelInputs(batch, model.device)).toFloat32Array())
  const width = hidden.length / batch.segment_BT.length
  const found = new Map<string, number[]>(batch.samples.map(({ id }) => [id, []]))
  for (const [i, segment] of batch.segment_BT.entries()) {
    if (segment !== -1)
      found.get(batch.samples[segment]!.id)!.push(...hidden.subarray(i * width, (i + 1) * width))
  }
  return found
}

function gradientsOf(options: Parameters<typeof runForward>[2]): Map<string, Float32Array> {
  model.zeroGrad()
  scope(() => {
    const pass = runForward(model, toModelInputs(batchOf([[A], [C]]), model.device), options)
    pass.backward(full(pass.hidden_BTD.shape, 0.5, { device: model.device }))
  })
  return gradientValues(model)
}

describe('hidden states of a sample', () => {
  const alone = hiddenBySample(batchOf([[A], [B], [C]]))
  const layouts = {
    'in one packed row': batchOf([[A, B, C]], { packing: true, maxLength: 17 }),
    'in two packed rows': batchOf([[A, B], [C]], { packing: true, maxLength: 9 }),
    'padded on the left': batchOf([[A], [B], [C]], { paddingSide: 'left' }),
    'padded far to the right': batchOf([[A], [B], [C]], { padTo: 30 }),
  }
  it.each(Object.entries(layouts))('are the same %s', (_, batch) => {
    const found = hiddenBySample(batch)
    for (const [id, expected] of alone) expect(relativeDistance(found.get(id)!, expected)).toBeLessThan(1e-6)
  })

  it('depend on nothing that follows', () => {
    const changed = hiddenBySample(batchOf([[{ tokens: [...C.tokens.slice(0, -1), 9] }]])).get('sample-0')!
    const width = changed.length / C.tokens.length
    const expected = alone.get('sample-2')!
    expect(relativeDistance(changed.slice(0, -width), expected.slice(0, -width))).toBeLessThan(1e-6)
    expect(relativeDistance(changed.slice(-width), expected.slice(-width))).toBeGreaterThan(0.1)
  })
})

describe('runForward', () => {
  it('gives the hidden states of embedTokens, as a leaf without gradient', () => {
    scope(() => {
      const inputs = toModelInputs(batchOf([[A], [C]]), model.device)
      const { hidden_BTD } = runForward(model, inputs)
      expect(hidden_BTD.toFloat32Array()).toEqual(embedTokens(model, inputs).toFloat32Array())
      expect(hidden_BTD.requiresGrad).toBe(false)
    })
  })

  it.each([
    undefined,
    'bfloat16',
  ] as const)('recomputing activations changes no bit (autocast %s)', (autocastDtype) => {
    const plain = gradientsOf({ autocastDtype })
    expect(gradientsOf({ autocastDtype, checkpoint: true })).toEqual(plain)
    expect([...plain.values()].some((values) => values.some((value) => value !== 0))).toBe(true)
  })

  it('adds to gradients that are there', () => {
    const once = gradientsOf({})
    scope(() => {
      const pass = runForward(model, toModelInputs(batchOf([[A], [C]]), model.device))
      pass.backward(full(pass.hidden_BTD.shape, 0.5, { device: model.device }))
    })
    for (const [name, values] of gradientValues(model)) {
      expect(
        relativeDistance(
          values,
          once.get(name)!.map((value) => 2 * value),
        ),
      ).toBeLessThan(1e-6)
    }
  })

  it('gives zero gradients for a zero gradient at the output', () => {
    model.zeroGrad()
    scope(() => {
      const pass = runForward(model, toModelInputs(batchOf([[A]]), model.device))
      pass.backward(zeros(pass.hidden_BTD.shape, { device: model.device }))
    })
    for (const values of gradientValues(model).values())
      expect(values.every((value) => value === 0)).toBe(true)
  })

  it('refuses more positions than the model was made for', () => {
    const tooLong = batchOf([[{ tokens: draw(33) }]])
    for (const forward of [embedTokens, runForward]) {
      expect(() => scope(() => void forward(model, toModelInputs(tooLong, model.device)))).toThrow(
        ConfigError,
      )
    }
    expect(model.training).toBe(true)
  })
})

describe('embedTokens', () => {
  it('leaves the training flag as it was', () => {
    for (const training of [true, false]) {
      model.train(training)
      scope(() => void embedTokens(model, toModelInputs(batchOf([[A]]), model.device)))
      expect(model.training).toBe(training)
      expect(model.model.layers[0]!.training).toBe(training)
    }
    model.train()
  })

  it('comes within bfloat16 of float32 under autocast', () => {
    scope(() => {
      const inputs = toModelInputs(batchOf([[A], [B], [C]]), model.device)
      const exact = embedTokens(model, inputs)
      const rounded = embedTokens(model, inputs, { autocastDtype: 'bfloat16' })
      expect(rounded.dtype).toBe('float32')
      const distance = relativeDistance(rounded.toFloat32Array(), exact.toFloat32Array())
      expect(distance).toBeGreaterThan(0)
      expect(distance).toBeLessThan(2e-2)
    })
  })
})

it('uses the fused attention exactly where LibTorch has it', () => {
  expect(hasFusedAttention()).toBe(hasOperator('aten::scaled_dot_product_attention'))
})

describe('toModelInputs', () => {
  it('leaves out positions where every row is one sample without padding', () => {
    scope(() => {
      const plain = toModelInputs(batchOf([[A], [{ tokens: draw(5) }]]), model.device)
      expect(plain.tokens_BT.shape).toEqual([2, 5])
      expect([plain.position_BT, plain.dense]).toEqual([undefined, undefined])
    })
  })

  it('puts samples one after another without their padding, on whichever side that is', () => {
    scope(() => {
      const { tokens_BT, position_BT, dense } = toModelInputs(
        batchOf([[A], [B]], { paddingSide: 'left' }),
        model.device,
      )
      expect([...tokens_BT.toInt32Array()]).toEqual([...A.tokens, ...B.tokens])
      expect([...position_BT!.toInt32Array()]).toEqual([0, 1, 2, 3, 4, 0, 1, 2])
      expect(dense!.lengths).toEqual([5, 3])
      expect([...dense!.place_N.toInt32Array()]).toEqual([0, 1, 2, 3, 4, 7, 8, 9])
      const loose = toModelInputs(batchOf([[A, B], [C]], { packing: true, maxLength: 12 }), model.device)
      expect(loose.dense!.lengths).toEqual([5, 3, 7])
      expect([...loose.dense!.place_N.toInt32Array()].slice(-2)).toEqual([17, 18])
      expect(loose.isPacked).toBe(false)
    })
  })
})

describe('a number of positions that is rounded up', () => {
  const texts = Array.from({ length: 40 }, (_, i) => ({ tokens: draw(i % 2 === 0 ? 25 : 24) }))
  const batch = batchOf(texts.map((text) => [text]))
  const N = 40 * 24.5

  it('repeats the first ones as a sample of their own', () => {
    scope(() => {
      const { tokens_BT, position_BT, dense } = toModelInputs(batch, 'cpu')
      expect([tokens_BT.shape, dense!.filling, dense!.lengths.at(-1)]).toEqual([[1, 984], 4, 4])
      for (const values of [tokens_BT, position_BT!, dense!.place_N].map((x) => [...x.toInt32Array()]))
        expect(values.slice(N)).toEqual(values.slice(0, 4))
      expect(toModelInputs(batch, 'cpu', { fill: false }).dense!.filling).toBe(0)
      // Never more than with all padding: 43 x 25 is no multiple of 16.
      const nearlyFull = [
        ...texts.slice(0, 1),
        ...Array.from({ length: 41 }, () => ({ tokens: draw(25) })),
        texts[1]!,
      ]
      const { dense: most } = toModelInputs(batchOf(nearlyFull.map((text) => [text])), 'cpu')
      expect([most!.filling, most!.place_N.shape]).toEqual([1, [43 * 25]])
    })
  })

  it('changes no hidden state, no gradient and no factor of a layer, whatever stands at padding', () => {
    const run = (fill: boolean) => {
      model.zeroGrad()
      return scope(() => {
        const inputs = toModelInputs(batch, model.device, { fill })
        const pass = runForward(model, inputs)
        pass.backward(full(pass.hidden_BTD.shape, 0.5, { device: model.device }))
        const tapped = runTappedForward(model, inputs, {}, ({ shape }) => ({
          loss_N: zeros([N]),
          gradient_BTD: full(shape, 0.5, { device: model.device }),
        }))
        const factors = tapped.layers.flatMap(({ input_PI, gradient_PO }) => [input_PI, gradient_PO])
        expect(tapped.sampleOf_P.length).toBe(N)
        return {
          hidden: pass.hidden_BTD.toFloat32Array(),
          gradients: gradientValues(model),
          factors: factors.map((factor) => ({ rows: factor.shape[0], values: factor.toFloat32Array() })),
        }
      })
    }
    const [plain, filled] = [run(false), run(true)]
    expect(relativeDistance(filled.hidden, plain.hidden)).toBeLessThan(1e-6)
    for (const [name, values] of plain.gradients)
      expect(relativeDistance(filled.gradients.get(name)!, values)).toBeLessThan(1e-5)
    for (const [i, { rows, values }] of plain.factors.entries()) {
      expect([filled.factors[i]!.rows, rows]).toEqual([N, N])
      expect(relativeDistance(filled.factors[i]!.values, values)).toBeLessThan(1e-5)
    }
  })
})

it('leaves rows that are packed full as they are, for one masked product, where no kernel takes samples of all lengths', () => {
  scope(() => {
    if (hasSequenceAttention(model.device)) return
    const full = toModelInputs(batchOf([[A, B], [C]], { packing: true, maxLength: 9 }), model.device)
    expect(full.tokens_BT.shape).toEqual([2, 9])
    expect([full.isPacked, full.dense]).toEqual([true, undefined])
    expect(toModelInputs(batchOf([[A], [{ tokens: draw(5) }]]), model.device).isPacked).toBe(false)
  })
})

it('hidden states of padding are zero where it is left out', () => {
  scope(() => {
    const hidden = embedTokens(model, toModelInputs(batchOf([[A], [B]]), model.device))
    const padding = hidden.toFloat32Array().subarray(8 * hidden.shape[2]!)
    expect(padding).toEqual(new Float32Array(padding.length))
  })
})
