import { describe, expect, it } from 'vitest'
import { nn, zeros } from '../index.js'
import { valuesOf } from '../testing/compare.test.fixture.js'

const { Embedding, Linear, RMSNorm, withParameterDefaults } = nn

const make = () => [new Linear(2, 3, { bias: true }), new Embedding(4, 2), new RMSNorm(5)]
const describeAll = (layers: readonly nn.Module[]) =>
  layers.flatMap((layer) => layer.parameters().map(({ dtype, requiresGrad }) => [dtype, requiresGrad]))
const disposeAll = (layers: readonly nn.Module[]) => {
  for (const layer of layers) layer.dispose()
}

describe('withParameterDefaults', () => {
  it('gives every layer made inside its dtype and whether it is trained, and none outside', () => {
    const frozen = withParameterDefaults({ dtype: 'bfloat16', requiresGrad: false }, make)
    const usual = make()
    expect(describeAll(frozen)).toEqual(Array(4).fill(['bfloat16', false]))
    expect(describeAll(usual)).toEqual(Array(4).fill(['float32', true]))
    disposeAll([...frozen, ...usual])
  })

  it('fills parameters as their layers say unless it is told not to', () => {
    const [linear, , norm] = withParameterDefaults({ dtype: 'bfloat16' }, make)
    expect(valuesOf((linear as nn.Linear).weight)).toEqual(Array(6).fill(0))
    expect(valuesOf((norm as nn.RMSNorm).weight)).toEqual(Array(5).fill(1))
    disposeAll([linear!, norm!])
    const shapes = withParameterDefaults({ fill: false }, make).flatMap((layer) => {
      const found = layer.parameters().map(({ shape }) => shape)
      layer.dispose()
      return found
    })
    expect(shapes).toEqual([[3, 2], [3], [4, 2], [5]])
  })

  it('takes undefined for what was not said', () => {
    const [linear, ...others] = withParameterDefaults({ dtype: 'bfloat16' }, () =>
      withParameterDefaults({ dtype: undefined, device: undefined }, make),
    )
    expect(linear!.parameters().map(({ dtype }) => dtype)).toEqual(['bfloat16', 'bfloat16'])
    disposeAll([linear!, ...others])
  })

  it('nests, and ends with the call that throws', () => {
    const inner = withParameterDefaults({ dtype: 'bfloat16' }, () =>
      withParameterDefaults({ requiresGrad: false }, make),
    )
    expect(describeAll(inner)).toEqual(Array(4).fill(['bfloat16', false]))
    disposeAll(inner)
    expect(() =>
      withParameterDefaults({ dtype: 'bfloat16' }, () => {
        throw new Error('made nothing')
      }),
    ).toThrow('made nothing')
    const after = make()
    expect(describeAll(after)).toEqual(Array(4).fill(['float32', true]))
    disposeAll(after)
  })
})

it('a bfloat16 norm computes in float32', () => {
  const norm = withParameterDefaults({ dtype: 'bfloat16' }, () => new RMSNorm(4))
  const y = norm.run(zeros([1, 4]))
  expect([y.dtype, y.shape]).toEqual(['float32', [1, 4]])
  y.dispose()
  norm.dispose()
})
