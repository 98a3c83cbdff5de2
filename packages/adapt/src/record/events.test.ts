import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { crc32 } from '../dataset/crc32.js'
import { HostileFileError, ResourceError } from '../errors.js'
import { decodeEvent, encodeEvent } from './event-codec.js'
import { EventWriter } from './event-writer.js'
import { currentEvents, currentSteps, readEvents } from './read-events.js'
import type { EvaluationEvent, RunEvent, RunStartEvent, TasksEvent } from './run-event.js'
import type { StepRecord } from './step-record.js'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'events-'))
  path = join(folder, 'events.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function step(number: number, fields: Partial<StepRecord> = {}): StepRecord {
  return {
    type: 'step',
    step: number,
    time: 1_750_000_000.25 + number,
    epoch: number / 100,
    lossWeighted: 3.5 / number,
    lossUnweighted: 4.5 / number,
    gradNorm: 0.1 + 0.2,
    learningRate: 1e-3,
    numSamples: 16,
    numTokens: 4000,
    numTokensProcessed: 4096,
    weightMean: 0.5,
    essRatio: 0.95,
    weightQuantiles: [0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9],
    scoreMean: -0.01,
    scoreStd: 0.2,
    weightMeanBySource: { book: 0.6, wörld: 0.4 },
    massBySource: { book: 0.55, wörld: 0.45 },
    tokensPerSecond: 12345.678,
    stepMs: 330,
    signalMs: 3,
    flopsTrain: 6e15 * number,
    flopsSignal: 1e12 * number,
    skipped: false,
    ...fields,
  }
}

function start(atStep: number): RunStartEvent {
  const config = { method: 'adapt', seed: 0, packing: true, resume: null }
  return { type: 'run-start', step: atStep, time: 1, name: 'NaN', config, versions: { node: '20' } }
}

function evaluation(atStep: number, bits: number): EvaluationEvent {
  const book = { bits_per_byte: bits, nats_per_token: 3, bytes: 100, tokens: 40, documents: 2 }
  return { type: 'evaluation', step: atStep, time: 2, sources: { book } }
}

function tasks(atStep: number, value: number, error: number | null = 0.25): TasksEvent {
  const figure = {
    ...{ task: 'Infinity', kind: 'task' as const, alias: 'NaN', documents: 4, numFewShot: 0 },
    ...{ metric: 'acc', filter: 'none', value, error, higherIsBetter: true },
  } as const
  return { type: 'tasks', step: atStep, time: 3, seconds: 1.5, maxLength: 64, figures: [figure] }
}

function write(events: readonly RunEvent[]): void {
  using writer = new EventWriter(path)
  for (const event of events) writer.append(event)
}

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new Error('expected an error')
}

describe('crc32', () => {
  it('gives the published check value and 0 for nothing', () => {
    expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926)
    expect(crc32(new Uint8Array())).toBe(0)
  })
})

describe('encodeEvent', () => {
  it('writes one line of plain JSON whose last key is the CRC of the rest', () => {
    const line = Buffer.from(encodeEvent(step(1))).toString()
    expect(line.indexOf('\n')).toBe(line.length - 1)
    const { crc, ...rest } = JSON.parse(line)
    expect(Object.keys(JSON.parse(line)).at(-1)).toBe('crc')
    expect(rest).toEqual(step(1))
    const body = line.trimEnd().replace(/,"crc":"[0-9a-f]{8}"\}$/, '}')
    expect(crc).toBe(crc32(Buffer.from(body)).toString(16).padStart(8, '0'))
  })

  it('keeps NaN, both infinities and minus zero, and shows the first three as strings', () => {
    const event = step(1, {
      lossWeighted: Number.NaN,
      gradNorm: Number.POSITIVE_INFINITY,
      scoreMean: -0,
      weightQuantiles: [-0, 0, Number.NEGATIVE_INFINITY],
      scoreQuantiles: [Number.NaN, 0.5],
      massBySource: { book: Number.NaN },
    })
    const line = Buffer.from(encodeEvent(event)).toString()
    expect(line).toContain('"lossWeighted":"NaN"')
    expect(line).toContain('"weightQuantiles":[-0,0,"-Infinity"]')
    const read = decodeEvent(Buffer.from(line.trimEnd())) as StepRecord
    expect(read).toEqual(event)
    expect(Object.is(read.scoreMean, -0)).toBe(true)
    expect(Object.is(read.weightQuantiles[0], -0)).toBe(true)
    expect(Object.is(read.weightQuantiles[1], 0)).toBe(true)
  })

  it('does not take text for a number', () => {
    const read = decodeEvent(encodeEvent(start(0)).subarray(0, -1)) as RunStartEvent
    expect(read.name).toBe('NaN')
  })

  it('keeps every bit of a double, odd names and a source called __proto__', () => {
    const bySource = Object.fromEntries([
      ['__proto__', Number.NaN],
      ['a"\\\n\u2028\ud800', 5e-324],
    ])
    const event = step(1, { gradNorm: 0.1 + 0.2, massBySource: bySource })
    const read = decodeEvent(encodeEvent(event).subarray(0, -1)) as StepRecord
    expect(Object.entries(read.massBySource)).toEqual(Object.entries(bySource))
    expect(read.gradNorm).toBe(0.30000000000000004)
  })

  it('refuses what JSON cannot hold and an event with its own crc', () => {
    expect(() => encodeEvent({ ...step(1), time: 1n } as unknown as RunEvent)).toThrow(TypeError)
    expect(() => encodeEvent({ ...step(1), crc: '00000000' } as RunEvent)).toThrow(TypeError)
  })
})

describe('the event log', () => {
  const events: RunEvent[] = [
    start(0),
    step(1),
    step(2, { gradNorm: Number.NaN }),
    evaluation(2, 1.5),
    tasks(2, 0.5),
    tasks(4, Number.POSITIVE_INFINITY, Number.NaN),
    tasks(6, Number.NaN, null),
    step(3),
  ]

  it('gives back what was written, across several openings', () => {
    write(events.slice(0, 2))
    write(events.slice(2))
    expect(readEvents(path)).toEqual({ events, droppedTail: false })
  })

  it('loses at most the cut record wherever the file is cut, and goes on cleanly after it', () => {
    write(events)
    const whole = readFileSync(path)
    const ends: number[] = []
    for (let at = whole.indexOf(10); at >= 0; at = whole.indexOf(10, at + 1)) ends.push(at + 1)
    const firstCut = ends[events.length - 4]!
    for (let cut = firstCut; cut <= whole.length; cut++) {
      writeFileSync(path, whole.subarray(0, cut))
      // A record that lacks only its newline is whole: its CRC vouches for it.
      const kept = ends.filter((end) => end - 1 <= cut).length
      const log = readEvents(path)
      expect(isDeepStrictEqual(log.events, events.slice(0, kept)), `cut at ${cut}`).toBe(true)
      expect(log.droppedTail).toBe(cut > ends[kept - 1]!)
      write([step(99)])
      const continued = { events: [...events.slice(0, kept), step(99)], droppedTail: false }
      expect(isDeepStrictEqual(readEvents(path), continued), `cut at ${cut}`).toBe(true)
      const untouched = readFileSync(path).subarray(0, ends[kept - 1])
      expect(untouched.equals(whole.subarray(0, ends[kept - 1]))).toBe(true)
    }
  })

  it('drops a tail of zeros, as a power cut leaves it', () => {
    write(events)
    appendFileSync(path, Buffer.alloc(5000))
    expect(readEvents(path)).toEqual({ events, droppedTail: true })
    write([step(4)])
    expect(readEvents(path)).toEqual({ events: [...events, step(4)], droppedTail: false })
  })

  it('names the line of any flipped byte before the last record', () => {
    write(events)
    const whole = readFileSync(path)
    const secondLine = whole.indexOf(10) + 1
    for (const offset of [secondLine, secondLine + 20, whole.indexOf(10, secondLine) - 3]) {
      const damaged = Buffer.from(whole)
      damaged[offset]! ^= 1
      writeFileSync(path, damaged)
      for (const open of [() => readEvents(path), () => new EventWriter(path)]) {
        const error = thrownBy(open) as HostileFileError
        expect(error).toBeInstanceOf(HostileFileError)
        expect(error.code).toBe('EVENT_LOG_DAMAGED')
        expect(error.context.line).toBe(2)
        expect(error.message).toContain(`${path}:2`)
      }
      expect(readFileSync(path)).toEqual(damaged)
    }
  })

  it.each<[string, object]>([
    ['without a field', { ...step(2), massBySource: undefined }],
    ['whose loss is a text', { ...step(2), lossWeighted: 'low' }],
    ['whose shares are a number', { ...step(2), massBySource: 7 }],
    ['whose share is a list', { ...step(2), massBySource: { book: [1] } }],
    ['with two quantiles', { ...step(2), weightQuantiles: [0, 1] }],
    ['of half a step', step(2.5)],
    ['of a step before the first', step(-1)],
    ['of an evaluation without figures', { ...evaluation(2, 1), sources: { book: null } }],
    ['of tasks with a figure that is a number', { ...tasks(2, 1), figures: [7] }],
    ['of tasks without a value', { ...tasks(2, 1), figures: [{ ...tasks(2, 1).figures[0]!, value: null }] }],
    ['of tasks that have no list', { ...tasks(2, 1), figures: { a: tasks(2, 1).figures[0] } }],
    ['of a start without versions', { type: 'run-start', step: 0, time: 1, name: 'x', config: {} }],
    [
      'of an alert that says a number',
      { type: 'alert', step: 0, time: 1, severity: 'info', code: 'X', message: 1, values: {} },
    ],
    ['of no time', { ...step(2), time: null }],
  ])('names the line of a record %s, although its CRC is right', (_, event) => {
    for (const after of [[], [step(3)]]) {
      writeFileSync(
        path,
        [step(1), event as RunEvent, ...after]
          .map((one) => Buffer.from(encodeEvent(one)).toString())
          .join(''),
      )
      for (const open of [() => readEvents(path), () => new EventWriter(path)]) {
        const error = thrownBy(open) as HostileFileError
        expect(error).toMatchObject({ code: 'EVENT_LOG_DAMAGED', exitCode: 7 })
        expect(error.message).toContain(`${path}:2 `)
      }
    }
  })

  it('leaves a record of a kind that it does not know', () => {
    const event = { type: 'weather', step: 0, time: 1, sky: null } as unknown as RunEvent
    writeFileSync(path, encodeEvent(event))
    expect(readEvents(path).events).toEqual([event])
  })

  it('does not wait for a pipe in the place of the log', (context) => {
    if (spawnSync('mkfifo', [path]).status !== 0) context.skip('needs mkfifo')
    expect(() => readEvents(path)).toThrow(/expected a readable file/)
    expect(() => new EventWriter(path)).toThrow(HostileFileError)
  })

  it('reads records longer than one chunk and many records per chunk', () => {
    const wide = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`source number ${i}`, i / 7]))
    const many = Array.from({ length: 3000 }, (_, i) => step(i + 1))
    const all = [step(1), step(2, { massBySource: wide }), ...many]
    write(all)
    expect(readEvents(path)).toEqual({ events: all, droppedTail: false })
  })

  it('is empty for an empty file and an error for a missing one', () => {
    expect(thrownBy(() => readEvents(path))).toMatchObject({ code: 'EVENT_LOG_MISSING', exitCode: 2 })
    write([])
    expect(readEvents(path)).toEqual({ events: [], droppedTail: false })
  })

  it('reports a log that cannot be opened as a resource error', () => {
    expect(thrownBy(() => new EventWriter(join(folder, 'missing', 'events.jsonl')))).toBeInstanceOf(
      ResourceError,
    )
  })

  it('can be closed twice and says so when used after', () => {
    const writer = new EventWriter(path)
    writer.close()
    writer.close()
    expect(thrownBy(() => writer.append(step(1)))).toMatchObject({ code: 'EVENT_LOG_WRITE' })
  })

  it.skipIf(process.platform === 'win32')('keeps whole records when the disk takes only part of one', () => {
    // The file size limit makes the kernel write the first bytes of a record and refuse the rest, as a full disk does.
    const program = `
      import { EventWriter } from ${JSON.stringify(new URL('./event-writer.js', import.meta.url).href)}
      const writer = new EventWriter(process.argv[1])
      const codes = []
      for (let step = 1; step <= 40; step++) {
        const message = step === 40 ? '' : 'm'.repeat(600)
        try {
          writer.append({ type: 'alert', severity: 'info', step, time: 0, code: 'FULL', message, values: {} })
        } catch (error) {
          codes.push(error.code)
        }
      }
      console.log(JSON.stringify(codes))`
    const command = `trap '' XFSZ; ulimit -f 8; exec "$0" --input-type=module -e "$1" "$2"`
    const child = spawnSync('/bin/sh', ['-c', command, process.execPath, program, path], { encoding: 'utf8' })
    const codes = JSON.parse(child.stdout) as string[]
    expect(new Set(codes)).toEqual(new Set(['EVENT_LOG_WRITE']))
    const { events: kept, droppedTail } = readEvents(path)
    expect(droppedTail).toBe(false)
    expect(kept.length + codes.length).toBe(40)
    // The last, short one fits where a long one did not.
    expect(kept.at(-1)!.step).toBe(40)
    expect(kept.length).toBeGreaterThan(2)
  })

  it('knows its size', () => {
    write(events)
    using writer = new EventWriter(path)
    expect(writer.sizeBytes).toBe(readFileSync(path).length)
    writer.append(step(7))
    expect(writer.sizeBytes).toBe(readFileSync(path).length)
  })
})

describe('currentEvents', () => {
  it('shows each step once after a crash and a resume from an earlier checkpoint', () => {
    const lost = [step(3, { gradNorm: 1 }), step(4), evaluation(4, 9)]
    const again = [step(3, { gradNorm: 2 }), step(4, { gradNorm: 2 }), step(5)]
    const events = [
      start(0),
      step(1),
      step(2),
      evaluation(2, 1),
      tasks(2, 0.25),
      ...lost,
      tasks(4, 0.75),
      start(2),
      evaluation(2, 2),
      tasks(2, 0.5),
      ...again,
    ]
    expect(currentSteps(events).map((record) => record.step)).toEqual([1, 2, 3, 4, 5])
    expect(currentSteps(events)[2]!.gradNorm).toBe(2)
    const evaluations = currentEvents(events).filter((event) => event.type === 'evaluation')
    expect(evaluations).toEqual([evaluation(2, 2)])
    expect(currentEvents(events).filter((event) => event.type === 'tasks')).toEqual([tasks(2, 0.5)])
    expect(currentEvents(events).filter((event) => event.type === 'run-start')).toHaveLength(2)
  })
})
