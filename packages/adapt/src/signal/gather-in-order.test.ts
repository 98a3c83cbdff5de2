import { type Collective, distributed, scope, type Tensor, tensor } from '@adapt-ts/torch'
import { beforeAll, describe, expect, it } from 'vitest'
import { DEVICE, loadTestingDevice } from '../../../torch/testing-device/testing-device.mjs'
import { gatherInOrder } from '../method/index.js'
import { GivenStates } from './hidden-states.test.fixture.js'
import { ModelEmbeddingSignal } from './model-embedding-signal.js'

beforeAll(loadTestingDevice)

/** Runs what every rank does in turn, until each has all that the others sent. */
function onRanks<T>(worldSize: number, run: (collective: Collective) => T): T[] {
  const sent: { values: Float64Array; shape: number[] }[][] = Array.from({ length: worldSize }, () => [])
  const collectiveOf = (rank: number): Collective => {
    let call = 0
    return {
      ...distributed.singleProcess,
      rank,
      worldSize,
      allGather(mine: Tensor) {
        sent[rank]![call] = { values: mine.toFloat64Array(), shape: mine.shape }
        const everyone = sent.map((calls) => calls[call] ?? { values: new Float64Array(0), shape: [0] })
        call += 1
        return everyone.map(({ values, shape }) => tensor(values, shape, { dtype: mine.dtype }))
      },
    }
  }
  const all = () => Array.from({ length: worldSize }, (_, rank) => scope(() => run(collectiveOf(rank))))
  // What a rank sends does not depend on what it receives: the second time round everything has been sent.
  all()
  return all()
}

const rowsOf = (values: readonly number[]) =>
  tensor(Float32Array.from(values.flatMap((v) => [v, -v])), [values.length, 2])

describe('gatherInOrder', () => {
  it('goes through all first micro-batches, then all second ones, on every rank', () => {
    const parts = [
      [[1, 2], [5]],
      [
        [3, 4],
        [6, 7],
      ],
    ]
    const found = onRanks(2, (collective) =>
      gatherInOrder(parts[collective.rank]!.map(rowsOf), collective, { device: 'cpu' }).map(
        ({ rank, index, rows }) => ({
          rank,
          index,
          rows: [...rows.toFloat32Array()].filter((_, i) => i % 2 === 0),
        }),
      ),
    )
    const expected = [
      { rank: 0, index: 0, rows: [1, 2] },
      { rank: 1, index: 0, rows: [3, 4] },
      { rank: 0, index: 1, rows: [5] },
      { rank: 1, index: 1, rows: [6, 7] },
    ]
    expect(found).toEqual([expected, expected])
  })

  it('takes ranks with fewer micro-batches, empty ones and none at all', () => {
    const parts: number[][][] = [[[1], [2, 3]], [[4]], [[]], []]
    const found = onRanks(4, (collective) =>
      gatherInOrder(parts[collective.rank]!.map(rowsOf), collective, { device: 'cpu' }).map(
        ({ rank, rows }) => [rank, ...rows.shape],
      ),
    )
    for (const list of found) {
      expect(list).toEqual([
        [0, 1, 2],
        [1, 1, 2],
        [2, 0, 2],
        [0, 2, 2],
      ])
    }
  })

  it('asks for what it receives where it is told, also without rows of its own', () => {
    const asked: string[] = []
    const collective: Collective = {
      ...distributed.singleProcess,
      worldSize: 2,
      allGather(mine) {
        asked.push(mine.device)
        return distributed.singleProcess.allGather(mine)
      },
    }
    scope(() => gatherInOrder([], collective, { device: DEVICE }))
    expect(asked).toEqual(['cpu', DEVICE])
  })

  it('is empty when nobody has anything', () => {
    expect(onRanks(2, (collective) => gatherInOrder([], collective, { device: 'cpu' }))).toEqual([[], []])
  })
})

describe('the anchors', () => {
  it('are shared out over the ranks and come together in their order', () => {
    const states = new GivenStates()
    const anchors = [[[1, 0]], [[0, 2]], [[3, 4]]].map((vectors) => states.batch(vectors))
    const found = onRanks(2, (collective) => {
      const embedded: number[] = []
      const signal = new ModelEmbeddingSignal()
      signal.beforeStep({
        ...states.facts(anchors),
        collective,
        look(batch) {
          embedded.push(anchors.indexOf(batch))
          return states.look(batch)
        },
      })
      const rows = [...signal.state().tensors.get('anchors')!.toFloat32Array()]
      signal.dispose()
      return { embedded, rows }
    })
    expect(found.map(({ embedded }) => embedded)).toEqual([[0, 2], [1]])
    for (const { rows } of found) expect(rows).toEqual([1, 0, 0, 2, 3, 4])
  })
})
