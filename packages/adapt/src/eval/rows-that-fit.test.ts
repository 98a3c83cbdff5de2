import { memoryStats, resetPeakMemoryStats, scope } from '@adapt-ts/torch'
import { afterEach, describe, expect, it } from 'vitest'
import { addLora, type CausalLM, createModel } from '../model/index.js'
import { bytesForPass, type PassShape, passBytes, rowsThatFit } from './rows-that-fit.js'
import { type Sums, scoreWindows, type Window } from './score-windows.js'

let model: CausalLM | undefined
afterEach(() => {
  model?.dispose()
  model = undefined
})

const SHAPE = {
  vocabSize: 2048,
  hiddenSize: 64,
  intermediateSize: 160,
  numHiddenLayers: 3,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 1024,
  initializerRange: 0.2,
}
const windows = (rows: number, length: (i: number) => number): Window[] =>
  Array.from({ length: rows }, (_, i) => {
    const tokens = Int32Array.from({ length: length(i) }, (_, t) => (7 * t + 13 * i) % 2048)
    return {
      source: i % 2 === 0 ? 'even' : 'odd',
      tokens,
      labels: tokens.map((token) => (token * 3 + 1) % 2048),
    }
  })
const natsOf = (of: CausalLM, parts: readonly Window[], batchSize: number | 'auto') => {
  const sums = new Map<string, Sums>()
  scoreWindows(of, parts, { batchSize }, sums)
  return sums
}

/** What a second pass allocates at its peak: tables that stay are made by the first. */
function bytesOf(of: CausalLM, { rows, length, autocastDtype }: PassShape): number {
  const { device } = of
  const [parts, sums] = [windows(rows, () => length), new Map<string, Sums>()]
  const measure = () => {
    resetPeakMemoryStats(device)
    const before = memoryStats(device).allocatedBytes
    scope(() => scoreWindows(of, parts, { batchSize: rows, autocastDtype }, sums))
    return memoryStats(device).peakBytes - before
  }
  measure()
  return measure()
}

function countsMemory(device: string): boolean {
  try {
    return memoryStats(device).allocatedBytes >= 0
  } catch {
    return false
  }
}

describe('the memory of an evaluation pass', () => {
  it.each([
    ['short rows', 64, 16, 'llama-1m', undefined],
    ['long rows, whose scores are most of it', 4, 1024, 'llama-1m', undefined],
    ['one row', 1, 300, 'llama-1m', undefined],
    ['bfloat16 products', 8, 256, 'llama-1m', 'bfloat16'],
  ] as const)('is never more than foretold: %s', (_, rows, length, preset, autocastDtype) => {
    model = createModel(preset, { ...SHAPE, device: 'cpu' })
    const used = bytesOf(model, { rows, length, autocastDtype })
    const foretold = passBytes(model, { rows, length, autocastDtype })
    expect(used).toBeLessThan(foretold)
    // Nor wildly less; a fused kernel holds no scores.
    expect(used).toBeGreaterThan(foretold / 25)
  })

  it('is never more than foretold on another device that counts its memory', ({ skip }) => {
    model = createModel('llama-1m', SHAPE)
    const { device } = model
    if (device === 'cpu') skip('the tests run on the CPU')
    if (!countsMemory(device)) skip(`this LibTorch keeps no counters of ${device}`)
    for (const [rows, length] of [
      [64, 16],
      [8, 256],
      [2, 1024],
    ] as const) {
      const shape = { rows, length, autocastDtype: undefined }
      expect(bytesOf(model, shape)).toBeLessThan(passBytes(model, shape))
    }
  })

  it('counts what adapters add', () => {
    model = createModel('llama-1m', { ...SHAPE, device: 'cpu' })
    const plain = passBytes(model, { rows: 2, length: 64, autocastDtype: undefined })
    addLora(model, { r: 4, loraAlpha: 4, loraDropout: 0, useRslora: false, targetModules: 'all-linear' }, 0)
    const parts = windows(2, () => 64)
    natsOf(model, parts, 2)
    resetPeakMemoryStats()
    const before = memoryStats().allocatedBytes
    natsOf(model, parts, 2)
    const foretold = passBytes(model, { rows: 2, length: 64, autocastDtype: undefined })
    expect(memoryStats().peakBytes - before).toBeLessThan(foretold)
    expect(foretold).toBeGreaterThan(plain)
  })

  it('decides the rows: as many as fit, at least one, fewer the longer they are', () => {
    model = createModel('llama-1m', { ...SHAPE, device: 'cpu' })
    const at = (bytes: number, length = 64) => rowsThatFit(model!, length, bytes, undefined)
    expect(at(0)).toBe(1)
    for (const bytes of [2 ** 24, 2 ** 26, 2 ** 27]) {
      const rows = at(bytes)
      const shape = (n: number) => ({ rows: n, length: 64, autocastDtype: undefined })
      if (rows > 1) expect(passBytes(model, shape(rows))).toBeLessThanOrEqual(bytes)
    }
    expect(at(2 ** 27)).toBeGreaterThan(at(2 ** 25))
    expect(at(2 ** 27, 512)).toBeLessThan(at(2 ** 27))
    // More than a processor has a use for.
    expect(at(Number.POSITIVE_INFINITY)).toBe((model.device === 'cpu' ? 8192 : 131_072) / 64)
    expect(bytesForPass('cpu')).toBeGreaterThan(0)
  })
})

describe('a batch size of auto', () => {
  it('changes no result', () => {
    model = createModel('llama-1m', { ...SHAPE, numHiddenLayers: 1 })
    const parts = windows(40, (i) => 5 + ((i * 37) % 200))
    const expected = natsOf(model, parts, 1)
    const found = natsOf(model, parts, 'auto')
    for (const name of ['even', 'odd']) {
      expect(found.get(name)!.tokens).toBe(expected.get(name)!.tokens)
      expect(found.get(name)!.nats / expected.get(name)!.nats).toBeCloseTo(1, 6)
    }
  })
})
