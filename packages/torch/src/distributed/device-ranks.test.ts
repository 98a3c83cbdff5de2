// Collectives and norms over tensors that are not on the CPU.
import { beforeAll, describe, expect, it } from 'vitest'
import { DEVICE, loadTestingDevice } from '../../testing-device/testing-device.mjs'
import { distributed, full, nn, optim, scope, zeros } from '../index.js'
import { valuesOf } from '../testing/compare.test.fixture.js'

beforeAll(loadTestingDevice)

describe.each([
  ['a virtual rank', () => distributed.joinVirtualRanks(distributed.createVirtualRankMemory(1, 16), 0)],
  ['the single process', () => distributed.singleProcess],
] as const)('%s', (_, join) => {
  it('puts what it receives where its own tensor is', () => {
    scope(() => {
      const ranks = join()
      const x = full([2, 2], 3, { device: DEVICE })
      const [gathered] = ranks.allGather(x)
      expect([gathered!.device, valuesOf(gathered!)]).toEqual([DEVICE, [3, 3, 3, 3]])
      expect(ranks.allGather(zeros([0], { device: DEVICE }))[0]!.device).toBe(DEVICE)
      ranks.allReduceSum([x])
      ranks.broadcast(x, 0)
      expect([x.device, valuesOf(x)]).toEqual([DEVICE, [3, 3, 3, 3]])
    })
  })
})

describe('the norm of no gradient', () => {
  it('is 0 where the parameters are', () => {
    scope(() => {
      const parameter = new nn.Parameter(zeros([2], { device: DEVICE }))
      const norm = optim.gradNorm([parameter])
      expect([norm.device, valuesOf(norm)]).toEqual([DEVICE, [0]])
      parameter.dispose()
    })
  })
})
