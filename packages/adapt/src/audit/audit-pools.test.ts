import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.js'
import { openInputs, type RunInputs } from '../open/index.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { type AuditPool, type AuditPools, drawPools } from './audit-pools.js'

const workshop = new Workshop()
let inputs: RunInputs
let pools: AuditPools
beforeAll(async () => {
  await workshop.train('base', ['training.max_steps=1', 'evaluation={}'])
  const { config, baseDir } = await loadConfig(workshop.file('run.yaml'))
  inputs = await openInputs(config, baseDir, { needsAnchors: true, onLine: () => {} })
  pools = await drawPools(inputs, { count: 20, seed: 1, maxLength: 48 })
})
afterAll(() => {
  inputs.train.close()
  workshop[Symbol.dispose]()
})

const idsIn = ({ dataset }: AuditPool) =>
  Array.from({ length: dataset.numSamples }, (_, i) => dataset.origin(i).id)
const comparedIds = ({ anchors }: AuditPool) =>
  anchors.flatMap(({ samples }) => samples.map(({ id }) => id)).sort()

describe('drawPools', () => {
  it('draws the same samples for every pool, each once', () => {
    const drawn = idsIn(pools.whole)
    expect(drawn).toHaveLength(20)
    expect(new Set(drawn).size).toBe(20)
    for (const pool of [...pools.halves, pools.open]) expect(idsIn(pool).slice(0, 20)).toEqual(drawn)
  })

  it('scores no anchor that it compares with, and each anchor once', () => {
    for (const pool of pools.halves) {
      const scored = idsIn(pool).slice(20).sort()
      expect(scored.filter((id) => comparedIds(pool).includes(id))).toEqual([])
      expect([...scored, ...comparedIds(pool)].sort()).toEqual(comparedIds(pools.whole))
      expect(pool.heldOut.length + pool.comparedWith.length).toBe(9)
    }
    expect(comparedIds(pools.whole)).toHaveLength(9)
    expect(comparedIds(pools.open)).toEqual(comparedIds(pools.whole))
  })

  it('gives each pool the documents of its anchors, in the order of their batches', () => {
    for (const pool of [pools.whole, ...pools.halves]) {
      const inBatches = pool.anchors.flatMap(({ samples }) => samples.map(({ id }) => id))
      expect(pool.anchorDocuments.map(({ id }) => id)).toEqual(inBatches)
    }
  })

  it('keeps labels, lengths and sources of what it draws', () => {
    const { dataset } = pools.open
    for (let i = 0; i < dataset.numSamples; i++) {
      const { tokens, labelMask, source, index } = dataset.sample(i)
      expect(index).toBe(i)
      expect(tokens.length).toBe(dataset.length(i))
      expect(labelMask.filter((label) => label === 1).length).toBe(dataset.labelCount(i))
      expect(dataset.sources[dataset.sourceIndex(i)]).toBe(source)
    }
  })
})
