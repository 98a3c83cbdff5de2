import { afterEach, describe, expect, it } from 'vitest'
import { backward } from './autograd.js'
import { engine } from './native.js'
import { add, full, mm, sum } from './ops.js'
import { isRecording, region, startRecording, stopRecording } from './profiler.js'
import { scope } from './scope.js'

afterEach(() => {
  if (isRecording()) stopRecording()
})

/** What a recording around `fn` holds. */
function record(fn: () => void) {
  startRecording()
  scope(fn)
  return stopRecording()
}

const named = (recording: ReturnType<typeof stopRecording>, name: string) =>
  recording.events.filter((event) => event.name === name)

describe('a recording', () => {
  it('holds every operator that was called, as often as it was called', () => {
    const recording = record(() => {
      const x = full([3, 3], 2)
      const y = mm(x, x)
      mm(y, mm(y, x))
      add(y, x)
    })
    expect(named(recording, 'aten::mm')).toHaveLength(3)
    expect(named(recording, 'aten::add')).toHaveLength(1)
    expect(named(recording, 'aten::full')).toHaveLength(1)
    expect(recording.dropped).toBe(0)
    expect(recording.events.every(({ thread }) => thread === recording.thread)).toBe(true)
  })

  it('holds the nodes of backward and the operators within them', () => {
    const weight = full([3, 3], 1)
    weight.setRequiresGrad(true)
    const recording = record(() => {
      const loss = sum(mm(full([2, 3], 1), weight))
      region('backward', () => backward([loss]))
    })
    const [outer] = named(recording, 'backward')
    const [node] = recording.events.filter(({ name, kind }) => kind === 'backward' && name === 'MmBackward0')
    expect(node!.startUs).toBeGreaterThanOrEqual(outer!.startUs)
    expect(node!.startUs + node!.durationUs).toBeLessThanOrEqual(outer!.startUs + outer!.durationUs)
    const products = named(recording, 'aten::mm')
    expect(products.map(({ startUs }) => startUs > node!.startUs)).toEqual([false, true])
  })

  it('nests: no event leaves the one in which it began, nor the recording', () => {
    const recording = record(() => {
      region('outer', () => {
        region('inner', () => sum(mm(full([4, 4], 1), full([4, 4], 1))))
      })
    })
    const open: number[] = [recording.wallUs]
    for (const { startUs, durationUs } of recording.events) {
      while (open.at(-1)! <= startUs) open.pop()
      // The clock counts nanoseconds; microseconds are sums of doubles.
      expect(startUs + durationUs).toBeLessThanOrEqual(open.at(-1)! + 1e-3)
      open.push(startUs + durationUs)
    }
    expect(named(recording, 'outer')[0]!.kind).toBe('region')
    expect(recording.events.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['call', 'operator', 'allocator', 'region']),
    )
  })

  it('closes what is still open, and a region that outlives it ends nothing of the next one', () => {
    startRecording()
    region('first', () => {
      const first = stopRecording()
      expect(named(first, 'first')[0]!.durationUs).toBeGreaterThan(0)
      startRecording()
      full([1], 0).dispose()
    })
    const second = stopRecording()
    expect(named(second, 'aten::full')).toHaveLength(1)
    expect(named(second, 'first')).toHaveLength(0)
  })

  it('is one at a time, and must be on to be ended', () => {
    startRecording()
    expect(() => startRecording()).toThrow(expect.objectContaining({ code: 'PROFILER_BUSY' }))
    stopRecording()
    expect(() => stopRecording()).toThrow(expect.objectContaining({ code: 'NOT_RECORDING' }))
  })

  it('leaves nobody whom LibTorch would call, before and after', () => {
    const { native } = engine()
    expect(native.hasRecordCallbacks()).toBe(false)
    startRecording()
    expect(native.hasRecordCallbacks()).toBe(true)
    stopRecording()
    expect(native.hasRecordCallbacks()).toBe(false)
    expect(region('nothing', () => 5)).toBe(5)
  })
})
