import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crc32c } from '../dataset/crc32.js'
import type { RunEvent } from './run-event.js'
import type { StepRecord } from './step-record.js'
import { fileVersionRecord, type Scalar, scalarsRecord, sessionStartRecord } from './tensorboard-format.js'
import { tensorboardScalars } from './tensorboard-scalars.js'
import { TensorBoardWriter } from './tensorboard-writer.js'

const GOLDEN = fileURLToPath(new URL('../../golden/tensorboard', import.meta.url))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorboard-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const step = (number: number, fields: Partial<StepRecord> = {}): StepRecord => ({
  type: 'step',
  step: number,
  time: 1_750_000_000 + number,
  epoch: 0.5,
  lossWeighted: 2,
  lossUnweighted: 3,
  gradNorm: 0.5,
  learningRate: 1e-3,
  numSamples: 16,
  numTokens: 4000,
  numTokensProcessed: 4096,
  weightMean: 0.5,
  essRatio: 0.9,
  weightQuantiles: [0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9],
  scoreMean: 0.1,
  scoreStd: 0.2,
  scoreQuantiles: [-1, -0.5, 0, 0.1, 0.2, 0.5, 1],
  weightMeanBySource: { book: 0.6 },
  massBySource: { book: 0.6, web: 0.4 },
  uniformMassBySource: { book: 0.5, web: 0.5 },
  tokensPerSecond: 12_000,
  stepMs: 330,
  signalMs: 3,
  flopsTrain: 6e15,
  flopsSignal: 1e12,
  skipped: false,
  ...fields,
})

/** The records of the only event file, cut by their lengths alone. */
function records(): Buffer[] {
  const [name, ...others] = readdirSync(folder)
  expect(others).toEqual([])
  const data = readFileSync(join(folder, name!))
  const found: Buffer[] = []
  for (let at = 0; at < data.length; at += 16 + found.at(-1)!.length) {
    found.push(data.subarray(at + 12, at + 12 + data.readUInt32LE(at)))
  }
  return found
}

describe('crc32c', () => {
  it('gives the values that RFC 3720 publishes', () => {
    const ascending = Uint8Array.from({ length: 32 }, (_, i) => i)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
    expect(crc32c(ascending)).toBe(0x46dd794e)
    expect(crc32c(ascending.toReversed())).toBe(0x113fdb5c)
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array())).toBe(0)
  })
})

describe('the records of an event file', () => {
  it('are those of the reference writer, byte for byte', () => {
    const { records } = JSON.parse(readFileSync(join(GOLDEN, 'case.json'), 'utf8')) as {
      records: { kind: string; time: number; step: number; scalars: [string, number | string][] }[]
    }
    expect(records.length).toBeGreaterThan(4)
    const written = records.map(({ kind, time, step, scalars }) => {
      if (kind === 'version') return fileVersionRecord(time)
      if (kind === 'start') return sessionStartRecord(time, step)
      return scalarsRecord(
        time,
        step,
        scalars.map(([tag, value]): Scalar => [tag, Number(value)]),
      )
    })
    expect(Buffer.concat(written).equals(readFileSync(join(GOLDEN, 'records.tfevents')))).toBe(true)
  })
})

describe('tensorboardScalars', () => {
  const values = (event: RunEvent) => Object.fromEntries(tensorboardScalars(event))

  it('names every figure of a step', () => {
    const { scoreQuantiles: _, ...older } = step(1)
    expect(values(step(1))).toMatchObject({
      'train/loss_weighted': 2,
      'train/loss_unweighted': 3,
      'train/grad_norm': 0.5,
      'train/learning_rate': 1e-3,
      'weights/mean': 0.5,
      'weights/ess_ratio': 0.9,
      'weights/q05': 0.2,
      'weights/q50': 0.5,
      'weights/q100': 0.9,
      'scores/mean': 0.1,
      'scores/q95': 0.5,
      'source/book/mass': 0.6,
      'source/book/relative_weight': 1.2,
      'source/book/weight': 0.6,
      'perf/tokens_per_second': 12_000,
      'perf/step_ms': 330,
      'perf/flops_train': 6e15,
      'perf/flops_signal': 1e12,
    })
    expect(Object.keys(values(older)).filter((tag) => tag.startsWith('scores/q'))).toEqual([])
  })

  it('takes bits per byte, anchors and the gate from the other events, and nothing from the rest', () => {
    const bits = { bits_per_byte: 1.5, nats_per_token: 3, bytes: 1, tokens: 1, documents: 1 }
    expect(values({ type: 'evaluation', step: 5, time: 1, sources: { 'a/b': bits } })).toEqual({
      'eval/a/b/bits_per_byte': 1.5,
    })
    const at = { step: 5, time: 1 }
    const rows = [
      { metric: 'acc', filter: 'none', value: 0.5, error: 0.25 },
      { metric: 'exact_match', filter: 'strict', value: 0.125, error: null },
    ].map((row) => ({
      ...{ task: 'qa', kind: 'task' as const, alias: 'QA', documents: 4, higherIsBetter: true },
      ...row,
    }))
    expect(values({ type: 'tasks', ...at, seconds: 1, maxLength: 8, figures: rows })).toEqual({
      'tasks/qa/acc': 0.5,
      'tasks/qa/acc_stderr': 0.25,
      'tasks/qa/exact_match,strict': 0.125,
    })
    const refresh = { reason: 'start', numAnchors: 9, refreshMs: 1, flops: 1 }
    expect(values({ type: 'refresh', ...at, ...refresh, diagnostics: { staleness: 0.1 } })).toEqual({
      'anchors/staleness': 0.1,
    })
    expect(values({ type: 'policy', ...at, shares: { book: 0.25, 'a/b': 0.75 } })).toEqual({
      'source/book/share': 0.25,
      'source/a/b/share': 0.75,
    })
    expect(tensorboardScalars({ type: 'run-start', ...at, name: 'x', config: {}, versions: {} })).toEqual([])
  })
})

describe('TensorBoardWriter', () => {
  it('starts with the version and the session, and has a record per event with figures', () => {
    const writer = new TensorBoardWriter(join(folder), { startStep: 0 })
    writer.append({ type: 'run-start', step: 0, time: 1, name: 'x', config: {}, versions: {} })
    writer.append(step(1))
    writer.append(step(2))
    writer.close()
    writer.close()
    const found = records()
    expect(found).toHaveLength(4)
    expect(found[0]!.subarray(9).toString('latin1')).toBe('\x1a\rbrain.Event:2')
    expect(found[3]!.readDoubleLE(1)).toBe(step(2).time)
    expect(readdirSync(folder)[0]).toMatch(/^events\.out\.tfevents\.\d{10}\.[\w-]+\.\d+\.v2$/)
  })

  it('voids the steps after the one that it goes on from', () => {
    new TensorBoardWriter(folder, { startStep: 0 }).close()
    expect([...records()[1]!.subarray(9)]).toEqual([0x3a, 2, 8, 1])
    rmSync(folder, { recursive: true })
    new TensorBoardWriter(folder, { startStep: 300 }).close()
    // Field 2, the step, is 301.
    expect([...records()[1]!.subarray(9)]).toEqual([0x10, 0xad, 0x02, 0x3a, 2, 8, 1])
  })

  it('has an evaluation in the file at once, with the steps before it', () => {
    const bits = { bits_per_byte: 1.5, nats_per_token: 3, bytes: 1, tokens: 1, documents: 1 }
    using writer = new TensorBoardWriter(folder, { startStep: 0 })
    writer.append(step(1))
    expect(records()).toHaveLength(2)
    writer.append({ type: 'evaluation', step: 1, time: 1, sources: { qa: bits } })
    expect(records()).toHaveLength(4)
    const figure = {
      ...{ task: 'qa', kind: 'task' as const, alias: 'qa', documents: 4, metric: 'acc', filter: 'none' },
      ...{ value: 0.5, error: null, higherIsBetter: true },
    }
    writer.append({ type: 'tasks', step: 1, time: 1, seconds: 1, maxLength: 8, figures: [figure] })
    expect(records()).toHaveLength(5)
  })

  it('gives each later file a later name, even within a second', () => {
    for (let i = 0; i < 3; i++) new TensorBoardWriter(folder, { startStep: i }).close()
    const seconds = readdirSync(folder)
      .sort()
      .map((name) => Number(name.split('.')[3]))
    expect(new Set(seconds).size).toBe(3)
    expect(seconds).toEqual([...seconds].sort((a, b) => a - b))
  })

  it('loses what a full disk cannot hold, leaves whole records and goes on when there is room', () => {
    // A process of its own under a limit on file sizes; signals would end it, so they are ignored.
    const program = `
      const { TensorBoardWriter } = await import('${new URL('tensorboard-writer.js', import.meta.url)}')
      const events = ${JSON.stringify(Array.from({ length: 40 }, (_, i) => step(i + 1)))}
      const writer = new TensorBoardWriter(process.argv[1], { startStep: 0 })
      const codes = []
      for (const event of events) {
        writer.append(event)
        try { writer.flush() } catch (error) { codes.push(error.code) }
      }
      writer.append({ type: 'refresh', step: 41, time: 1, diagnostics: { x: 1 } })
      writer.close()
      console.log(JSON.stringify(codes))`
    const command = `trap '' XFSZ; ulimit -f 8; exec "$0" --input-type=module -e "$1" "$2"`
    const child = spawnSync('/bin/sh', ['-c', command, process.execPath, program, folder], {
      encoding: 'utf8',
    })
    const codes = JSON.parse(child.stdout) as string[]
    expect(new Set(codes)).toEqual(new Set(['TENSORBOARD_WRITE']))
    const found = records()
    // Version and session, the steps that fitted, and the short record after them.
    expect(found.length).toBe(2 + 40 - codes.length + 1)
    expect(found.at(-1)!.includes('anchors/x')).toBe(true)
  })

  it('says which folder cannot be written', () => {
    const file = join(folder, 'file')
    writeFileSync(file, '')
    expect(() => new TensorBoardWriter(file, { startStep: 0 })).toThrow(
      expect.objectContaining({ code: 'TENSORBOARD_WRITE', exitCode: 5 }),
    )
  })
})
