import { copy_, detach, narrow, noGrad, scope, tensor, view } from '@adapt-ts/torch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CausalLM } from '../model/index.js'
import { createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { requireSameReplicas } from './same-replicas.js'
import { aloneWorld, type World } from './world.js'

const SPOILT = 'model.layers.1.mlp.up_proj.weight'
let good: CausalLM
let other: CausalLM
beforeAll(() => {
  good = createTinyLlama({})
  other = createTinyLlama({})
  flipBit(other, SPOILT)
})
afterAll(() => {
  good.dispose()
  other.dispose()
})

/** The lowest bit of the sixth number. */
function flipBit(model: CausalLM, name: string): void {
  const parameter = new Map(model.namedParameters()).get(name)!
  scope(() => {
    const place = narrow(view(detach(parameter), [-1]), 0, 5, 1)
    const bits = new Uint32Array(place.toFloat32Array().buffer)
    bits[0]! ^= 1
    noGrad(() => copy_(place, tensor(new Float32Array(bits.buffer), [1])))
  })
}

/** A rank of several that have these models. */
const worldOf = (models: readonly CausalLM[]): World => {
  const textOf = (model: CausalLM) => {
    let own = ''
    const gatherText = (text: string) => {
      own = text
      return [text]
    }
    requireSameReplicas({ ...aloneWorld(), worldSize: 2, gatherText }, model, 0, 'all')
    return own
  }
  return { ...aloneWorld(), worldSize: models.length, gatherText: () => models.map(textOf) }
}
const compare = (models: readonly CausalLM[]) => () => requireSameReplicas(worldOf(models), good, 7, 'all')

describe('requireSameReplicas', () => {
  it('lets equal models pass', () => {
    expect(compare([good, good, good])).not.toThrow()
  })

  it('names the rank whose model has one other bit, and the parameter', () => {
    expect(compare([good, other, good])).toThrow(
      expect.objectContaining({
        code: 'REPLICAS_DIFFER',
        exitCode: 4,
        context: { ranks: [1], parameter: SPOILT },
      }),
    )
    expect(compare([other, good, good])).toThrow(`step 7: ${SPOILT} on rank 0 is not that of rank 1`)
    expect(compare([good, other])).toThrow('on rank 1 is not that of rank 0')
  })
})
