import { optim, scope } from '@adapt-ts/torch'
import { expect, it } from 'vitest'
import type { RunConfig } from '../config/index.js'
import { lookAt } from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import {
  createTinyLlama,
  createTokens,
  parameterValues,
  setValues,
} from '../model/tiny-llama.test.fixture.js'
import { SampleGradients } from '../prepare/index.js'
import type { TokenDataset } from '../tokenize/index.js'
import { type AuditPool, type AuditPools, batchesOf } from './audit-pools.js'
import { measureInfluence } from './gradient-influence.js'
import { JoinedDataset } from './joined-dataset.js'

const draw = createTokens(3)
const TOKENS = [6, 9, 5, 7, 8, 6, 10, 4].map((length) => draw(length))
/** Samples 0 to 3 are drawn, 4 to 7 are anchors. */
const MEMORY = {
  sources: ['a'],
  sourceIndex: () => 0,
  length: (index: number) => TOKENS[index]!.length,
  labelCount: (index: number) => TOKENS[index]!.length - 1,
  sample: (index: number) => ({
    ...{ index, id: `sample-${index}`, source: 'a', weight: 1, path: 'memory', line: index + 1 },
    tokens: Int32Array.from(TOKENS[index]!),
    labelMask: Uint8Array.from(TOKENS[index]!, (_, t) => (t > 0 ? 1 : 0)),
  }),
} as unknown as TokenDataset

const DRAWN = [0, 1, 2, 3]
const anchors = new JoinedDataset([4, 5, 6, 7].map((index) => ({ dataset: MEMORY, index })))

function poolOf(comparedWith: readonly number[], heldOut: readonly number[]): AuditPool {
  const dataset = new JoinedDataset([
    ...DRAWN.map((index) => ({ dataset: MEMORY, index })),
    ...heldOut.map((index) => ({ dataset: anchors, index })),
  ])
  return { dataset, anchors: [], anchorDocuments: [], comparedWith, heldOut }
}

const POOLS: AuditPools = {
  ...{ numDrawn: 4, numAnchors: 4, anchors },
  whole: poolOf([0, 1, 2, 3], []),
  halves: [poolOf([0, 2, 3], [1]), poolOf([1], [0, 2, 3])],
  open: poolOf([0, 1, 2, 3], [0, 1, 2, 3]),
}

/** Mean over some anchors of their mean losses. */
function anchorLoss(model: CausalLM, places: readonly number[]): number {
  return scope(() => {
    const losses = places.map((place) => {
      const [batch] = batchesOf(anchors, [place], 1, 0)
      const look = lookAt(model, batch!, { autocastDtype: undefined, reference: undefined })
      return look.sampleLoss_S().item()
    })
    return losses.reduce((sum, loss) => sum + loss, 0) / places.length
  })
}

/** How the anchors' loss falls along a gradient, by two losses: <g, mean g_v>. */
function fallAlong(model: CausalLM, gradient: Map<string, Float32Array>, places: readonly number[]): number {
  const start = parameterValues(model)
  const step = 3e-4
  const at = (sign: number) => {
    for (const [name, parameter] of model.namedParameters()) {
      const values = start.get(name)!.map((value, i) => value + sign * step * (gradient.get(name)?.[i] ?? 0))
      setValues(parameter, values)
    }
    return anchorLoss(model, places)
  }
  const difference = (at(1) - at(-1)) / (2 * step)
  for (const [name, parameter] of model.namedParameters()) setValues(parameter, start.get(name)!)
  return difference
}

/** Gradient of the mean loss of a sample, by parameter. */
function gradientOf(model: CausalLM, index: number): Map<string, Float32Array> {
  using gradients = new SampleGradients(model)
  const [batch] = batchesOf(MEMORY, [index], 1, 0)
  const flat = scope(() => gradients.of(batch!).toFloat32Array())
  const order = optim.decayGroups(model.trainableParameters(), 0).flatMap(({ parameters }) => [...parameters])
  const starts = order.map((_, i) => order.slice(0, i).reduce((sum, { numel }) => sum + numel, 0))
  return new Map(
    Array.from(model.namedParameters(), ([name, parameter]) => {
      const start = starts[order.indexOf(parameter)]!
      return [name, flat.slice(start, start + parameter.numel)]
    }),
  )
}

/** Of a difference of two losses in float32. */
function expectNear(value: number, wanted: number): void {
  expect(Math.abs(value - wanted)).toBeLessThan(0.01 + 0.01 * Math.abs(wanted))
}

it('is how the loss of the anchors changes along the gradient of a sample', async () => {
  const model = createTinyLlama()
  try {
    const influence = await measureInfluence(model, POOLS, {
      config: { training: { bf16: false } } as RunConfig,
      ...{ padId: 0, count: 4, onProgress: () => {}, checkStop: () => {} },
    })
    for (const i of DRAWN) {
      const gradient = gradientOf(model, i)
      const falls = (places: readonly number[]) => fallAlong(model, gradient, places)
      expectNear(influence.dot[i]!, falls([0, 1, 2, 3]))
      expectNear(influence.halves[0].dot[i]!, falls([0, 2, 3]))
      expectNear(influence.halves[1].dot[i]!, falls([1]))
      expect(Math.abs(influence.cosine[i]!)).toBeLessThanOrEqual(1)
    }
    expect(new Set(influence.dot).size).toBe(4)
    expect(influence.halves[1].heldOut).toHaveLength(3)
    const heldOut = influence.halves[0].heldOut[0]!
    expectNear(heldOut, fallAlong(model, gradientOf(model, 5), [0, 2, 3]))
  } finally {
    model.dispose()
  }
})
