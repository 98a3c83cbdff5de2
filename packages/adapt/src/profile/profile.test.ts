import {
  add,
  backward,
  full,
  mm,
  ops,
  type RecordedEvent,
  region,
  scope,
  sum,
  type Tensor,
  tensor,
} from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { buildCallTree, type TimedEvent, withCollections } from './call-tree.js'
import { chromeTrace } from './chrome-trace.js'
import { StepRecorder } from './step-recorder.js'
import { summariseProfile } from './summarise-profile.js'

const event = (
  name: string,
  kind: TimedEvent['kind'],
  startUs: number,
  durationUs: number,
  thread = 1,
): TimedEvent => ({ name, kind, thread, startUs, durationUs })

/** A step of 100 us, made by hand. */
const STEP = {
  ...{ step: 4, thread: 1, startMs: 5, wallUs: 100, dropped: 0 },
  events: [
    event('forward', 'region', 10, 40),
    event('call', 'call', 12, 20),
    event('aten::linear', 'operator', 13, 18),
    event('aten::mm', 'operator', 15, 10),
    event('allocate', 'allocator', 16, 2),
    event('aten::to', 'operator', 35, 6),
    event('aten::_to_copy', 'operator', 36, 5),
    event('aten::copy_', 'operator', 37, 3),
    event('aten::copy_', 'operator', 42, 4),
    event('loss', 'region', 60, 20),
    event('aten::exp_', 'operator', 62, 8),
    event('garbage collection', 'gc', 75, 2),
    event('aten::mul', 'operator', 0, 50, 2),
  ],
}

const sumOf = (list: readonly { us: number }[]) => list.reduce((sum, { us }) => sum + us, 0)

describe('summariseProfile', () => {
  const summary = summariseProfile([STEP])
  const us = (list: readonly { name: string; us: number }[]) =>
    Object.fromEntries(list.filter((one) => one.us > 0).map((one) => [one.name, one.us]))

  it('gives each event the time that nothing within it took', () => {
    const { nodes, outsideUs } = buildCallTree(STEP)
    expect(nodes.map(({ selfUs }) => selfUs)).toEqual([10, 2, 8, 8, 2, 1, 2, 3, 4, 10, 8, 2])
    expect(outsideUs).toBe(40)
  })

  it('tells parts, and what JavaScript took of them', () => {
    expect(us(summary.parts)).toEqual({ forward: 40, loss: 20, other: 40 })
    expect(summary.parts.find(({ name }) => name === 'loss')!.javascriptUs).toBe(12)
  })

  it('tells casts from copies and puts the rest where it belongs', () => {
    expect(us(summary.kinds)).toEqual({
      'matrix products': 16,
      allocator: 2,
      casts: 3,
      'copies and fills': 4,
      dispatch: 5,
      loss: 8,
      JavaScript: 60,
      'garbage collection': 2,
    })
  })

  it('counts the calls of an operator for each kind of work, and other threads beside', () => {
    const copies = summary.operators.filter(({ name }) => name === 'aten::copy_')
    expect(copies.map(({ kind, calls, meanUs }) => [kind, calls, meanUs])).toEqual([
      ['copies and fills', 1, 4],
      ['casts', 1, 3],
    ])
    expect(summary.operators.some(({ name }) => name === 'aten::mul')).toBe(false)
    expect(summary.elsewhereUs).toBe(50)
  })

  it('loses nothing: parts and kinds sum up to the wall time of all steps', () => {
    const both = summariseProfile([STEP, { ...STEP, step: 5 }])
    expect([both.firstStep, both.lastStep, both.numSteps, both.wallUs]).toEqual([4, 5, 2, 200])
    expect(sumOf(both.parts)).toBeCloseTo(200, 9)
    expect(sumOf(both.kinds)).toBeCloseTo(200, 9)
  })
})

describe('withCollections', () => {
  it('puts a collection where it was and cuts it to the recording', () => {
    const recording = { ...STEP, events: STEP.events as RecordedEvent[] }
    const found = withCollections(recording, [
      { startTime: 4.9, duration: 0.105 },
      { startTime: 5.09, duration: 1 },
      { startTime: 9, duration: 1 },
    ])
    const spans = found
      .filter(({ kind }) => kind === 'gc')
      .map(({ startUs, durationUs }) => [startUs, durationUs].map((x) => Number(x.toFixed(6))))
    expect(spans).toEqual([
      [0, 5],
      [75, 2],
      [90, 10],
    ])
  })
})

describe('StepRecorder', () => {
  it('sums up to the wall time on real steps, with every operator counted', async () => {
    using recorder = new StepRecorder()
    for (const step of [1, 2]) {
      recorder.begin()
      scope(() => region('forward', () => add(mm(full([8, 8], 1), full([8, 8], 1)), 1)))
      recorder.end(step)
    }
    const steps = await recorder.steps()
    const summary = summariseProfile(steps)
    expect(Math.abs(sumOf(summary.kinds) / summary.wallUs - 1)).toBeLessThan(1e-6)
    expect(Math.abs(sumOf(summary.parts) / summary.wallUs - 1)).toBeLessThan(1e-6)
    expect(summary.operators.find(({ name }) => name === 'aten::mm')!.calls).toBe(2)
    expect(summary.operators.find(({ name }) => name === 'aten::full')!.calls).toBe(4)
  })
})

describe('fused operators of the CPU', () => {
  it('count as attention and as other operators, with the nodes that take them back', async () => {
    using recorder = new StepRecorder()
    recorder.begin()
    scope(() => {
      const leaf = () => full([4, 2, 8], 1).setRequiresGrad()
      const [q, k, v] = [leaf(), leaf(), leaf()]
      const starts = tensor(Int32Array.of(0, 4), [2], { dtype: 'int32' })
      const attended = ops.adapt!.attention!(q, k, v, starts, starts, 0) as Tensor
      const weight = full([8], 1).setRequiresGrad()
      const normed = ops.adapt!.rms_norm!(attended, weight, 1e-6) as Tensor
      const turned = ops.adapt!.rotary!(normed, full([8], 1), full([8], 0)) as Tensor
      backward([sum(ops.adapt!.swiglu!(turned, turned) as Tensor)])
    })
    recorder.end(1)
    const { operators } = summariseProfile(await recorder.steps())
    const own = operators.filter(({ name }) => name.startsWith('adapt::'))
    expect(Object.fromEntries(own.map(({ name, kind, calls }) => [name, `${calls} ${kind}`]))).toEqual({
      'adapt::attention': '1 attention',
      'adapt::attention_backward': '1 attention',
      'adapt::rms_norm': '1 other operators',
      'adapt::rms_norm_backward': '1 other operators',
      'adapt::rotary': '1 other operators',
      'adapt::rotary_backward': '1 other operators',
      'adapt::swiglu': '1 other operators',
      'adapt::swiglu_backward': '1 other operators',
    })
  })
})

describe('chromeTrace', () => {
  it('is JSON with one complete event for each event and step, in microseconds, and the summary', () => {
    const later = { ...STEP, step: 5, startMs: 6 }
    const summary = summariseProfile([STEP, later])
    const trace = JSON.parse(chromeTrace([STEP, later], summary, { dtype: 'float32' }))
    const complete = trace.traceEvents.filter(({ ph }: { ph: string }) => ph === 'X')
    expect(complete).toHaveLength(2 * (STEP.events.length + 1))
    expect(complete[0]).toEqual({
      ...{ name: 'step 4', cat: 'step', ph: 'X', pid: process.pid, tid: 1 },
      ...{ ts: 0, dur: 100 },
    })
    expect(complete[STEP.events.length + 1]).toMatchObject({ name: 'step 5', ts: 1000 })
    expect(complete.find(({ name }: { name: string }) => name === 'aten::mm')).toMatchObject({
      ts: 15,
      dur: 10,
    })
    expect(trace.otherData.dtype).toBe('float32')
    expect(trace.otherData.summary.numSteps).toBe(2)
  })
})
