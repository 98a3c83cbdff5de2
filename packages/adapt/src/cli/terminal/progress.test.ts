import { describe, expect, it } from 'vitest'
import type { StepRecord } from '../../record/index.js'
import { createProgress, formatDuration, formatStep } from './progress.js'
import { SafeStream } from './safe-stream.js'

function record(step: number, changes: Partial<StepRecord> = {}): StepRecord {
  return {
    type: 'step',
    step,
    time: step,
    epoch: 0,
    lossWeighted: 1.7,
    lossUnweighted: 3.41234,
    gradNorm: 1,
    learningRate: 1e-3,
    numSamples: 16,
    numTokens: 4000,
    numTokensProcessed: 4096,
    weightMean: 0.531,
    essRatio: 0.968,
    weightQuantiles: [0, 0.1, 0.2, 0.5, 0.7, 0.8, 1],
    scoreMean: 0,
    scoreStd: 0.1,
    weightMeanBySource: {},
    massBySource: {},
    tokensPerSecond: 21_340.4,
    stepMs: 100,
    signalMs: 1,
    flopsTrain: 0,
    flopsSignal: 0,
    skipped: false,
    ...changes,
  }
}

function capture(isTty: boolean, columns?: number, explains = false) {
  const written: string[] = []
  const stream = {
    write: (text: string) => written.push(text),
    isTTY: isTty,
    ...(columns === undefined ? {} : { columns }),
  }
  const progress = createProgress({
    totalSteps: 25,
    loggingSteps: 10,
    stream: new SafeStream(stream),
    isTty,
    explains,
  })
  return { progress, text: () => written.join('').replaceAll('\u001b', 'ESC') }
}

describe('formatStep', () => {
  it('says step, loss, speed, mean weight, effective sample size and time left', () => {
    expect(formatStep(record(120), 600, 42_000)).toBe(
      'step 120/600  loss 3.412  lr 1.0e-3  21,340 tok/s  w 0.53  ESS 0.97  ETA 0:42',
    )
  })

  it('says when the step was skipped, and survives numbers that are none', () => {
    const text = formatStep(record(1, { skipped: true, lossUnweighted: Number.NaN }), 2, Number.NaN)
    expect(text).toBe('step 1/2  loss NaN  lr 1.0e-3  21,340 tok/s  w 0.53  ESS 0.97  ETA ?  skipped')
  })
})

describe('formatDuration', () => {
  it.each([
    [0, '0:00'],
    [42.4, '0:42'],
    [725, '12:05'],
    [11_229, '3:07:09'],
    [184_020, '2d 03:07'],
    [-3, '0:00'],
    [Number.POSITIVE_INFINITY, '?'],
  ])('writes %d seconds as %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text)
  })
})

describe('progress without a terminal', () => {
  it('prints a line every loggingSteps steps and for the last one', () => {
    const { progress, text } = capture(false)
    for (let step = 1; step <= 25; step++) progress.step(record(step))
    progress.line('refresh')
    progress.done()
    const lines = text().split('\n')
    expect(lines.map((line) => line.split('  ')[0])).toEqual([
      'step 10/25',
      'step 20/25',
      'step 25/25',
      'refresh',
      '',
    ])
    expect(lines[0]).toMatch(/ETA 0:02$/)
    expect(lines[2]).toMatch(/ETA 0:00$/)
  })
})

describe('progress on a terminal', () => {
  it('updates one line in place and ends it once', () => {
    const { progress, text } = capture(true)
    progress.step(record(1))
    progress.step(record(2))
    progress.done()
    progress.done()
    expect(text()).toMatch(/^\rstep 1\/25[^\n]*ESC\[K\rstep 2\/25[^\n]*ESC\[K\n$/)
  })

  it('does not redraw more often than a reader can follow, but always shows the last step', () => {
    const { progress, text } = capture(true)
    for (let step = 1; step <= 25; step++) progress.step(record(step, { time: 5 + step * 1e-3 }))
    expect(text().match(/step \d+/g)).toEqual(['step 1', 'step 25'])
  })

  it('prints other lines above it', () => {
    const { progress, text } = capture(true)
    progress.line('before')
    progress.step(record(1))
    progress.line('refresh')
    expect(text()).toMatch(/^before\n\rstep 1[^\n]*\rESC\[Krefresh\n\rstep 1[^\n]*$/)
  })

  it('is cut to the width of the terminal', () => {
    const { progress, text } = capture(true, 30)
    progress.step(record(1))
    expect(text()).toBe(`\r${formatStep(record(1), 25, 2400).slice(0, 29)}ESC[K`)
  })
})

describe('what a line of a step means', () => {
  it('is said once, before the first step', () => {
    const { progress, text } = capture(false, undefined, true)
    progress.step(record(10))
    progress.step(record(20))
    expect(text().match(/w: mean weight of the samples; ESS: their effective number/g)).toHaveLength(1)
    expect(text()).toMatch(/^lr: learning rate.*\n.*\nstep 10/)
  })
})

describe('an evaluation under way', () => {
  it('takes the line of a terminal until its figures come, and no line of a file', () => {
    const { progress, text } = capture(true)
    progress.evaluation(0, 0)
    progress.evaluation(1256, 0)
    progress.line('step 0: bits per byte 2.1')
    expect(text()).toBe(
      '\rstep 0/25  evaluatingESC[K\rstep 0/25  evaluating, 1,256 documentsESC[K\rESC[Kstep 0: bits per byte 2.1\n',
    )
    const file = capture(false)
    file.progress.evaluation(5, 1)
    expect(file.text()).toBe('')
  })
})
