import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readEvents } from '../record/index.js'
import { SideWork } from './side-work.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const inRun = (name: string, ...parts: string[]) => path.join(workshop.runFolder(name), ...parts)
const statusOf = (name: string): unknown =>
  (JSON.parse(readFileSync(inRun(name, 'run.json'), 'utf8')) as { status: unknown }).status
const alertsOf = (name: string) =>
  readEvents(inRun(name, 'events.jsonl')).events.flatMap((event) =>
    event.type === 'alert' ? [event.code] : [],
  )

describe('SideWork', () => {
  it('ends nothing, tells equal failures in a row once, and forgets them when the work succeeds', async () => {
    const told: string[] = []
    const side = new SideWork((work, message) => told.push(`${work}: ${message}`))
    const full = () => {
      throw new Error('full')
    }
    side.attemptNow('state', full)
    side.attemptNow('state', full)
    expect(await side.attempt('report', async () => full())).toBeUndefined()
    expect(told).toEqual(['state: full', 'report: full'])
    expect(side.failure('state')).toBeInstanceOf(Error)
    side.attemptNow('state', () => {})
    expect(side.failure('state')).toBeUndefined()
    side.attemptNow('state', full)
    expect(told).toHaveLength(3)
    expect(await side.attempt('report', async () => 7)).toBe(7)
  })
})

describe('what is not the model never ends its training', () => {
  it('when an evaluation file goes away: the model is published, the end says what is missing, the same call makes it up', async () => {
    const sets = 'evaluation={ sets: [gone.jsonl], every_steps: 10 }'
    const text = readFileSync(workshop.file('held-out.jsonl'))
    writeFileSync(workshop.file('gone.jsonl'), text)
    const error = await workshop.failure('gone', [sets], {
      onStep: ({ step }) => {
        if (step === 15) rmSync(workshop.file('gone.jsonl'))
      },
    })
    expect(error.message).toContain('evaluation after step 30: ')
    expect(error.message).toContain('gone.jsonl')
    expect(error.exitCode).toBe(2)
    expect(alertsOf('gone')).toEqual(['EVALUATION_FAILED', 'EVALUATION_FAILED'])
    expect(statusOf('gone')).toBe('failed')
    expect(existsSync(inRun('gone', 'model', 'model.safetensors'))).toBe(true)
    expect(existsSync(inRun('gone', 'report.html'))).toBe(true)
    writeFileSync(workshop.file('gone.jsonl'), text)
    const { outcome, lines } = await workshop.train('gone', [sets])
    expect(lines.some((line) => line.startsWith('goes on from step 30 '))).toBe(true)
    expect(Object.keys(outcome.evaluation!.sources)).toEqual(['even', 'odd'])
    expect(statusOf('gone')).toBe('finished')
  })

  it('when the file of an evaluation and the report cannot be written: both are named, and the run is finished', async () => {
    const { lines } = await workshop.train('blocked', [], {
      onStep: ({ step }) => {
        if (step !== 5) return
        mkdirSync(inRun('blocked', 'eval', 'step-10.json'))
        mkdirSync(inRun('blocked', 'report.html'))
      },
    })
    const warnings = lines.filter((line) => line.startsWith('warning: ')).join('\n')
    expect(warnings).toContain(inRun('blocked', 'eval', 'step-10.json'))
    expect(warnings).toContain(inRun('blocked', 'report.html'))
    expect(alertsOf('blocked')).toEqual(['EVALUATION_FAILED', 'REPORT_FAILED'])
    expect(statusOf('blocked')).toBe('finished')
    expect(readdirSync(inRun('blocked', 'eval'))).toContain('step-30.json')
  })

  it('when records are removed: every checkpoint and the model are saved, and the end says what is missing', async () => {
    const { lines } = await workshop.train('robbed', ['training.save_steps=5'], {
      onStep: ({ step }) => {
        if (step !== 12) return
        rmSync(inRun('robbed', 'ledger'), { recursive: true })
      },
    })
    expect(readdirSync(inRun('robbed', 'checkpoints'))).toContain('step-30')
    expect(existsSync(inRun('robbed', 'model', 'model.safetensors'))).toBe(true)
    expect(alertsOf('robbed')).toEqual(['RECORDS_MISSING'])
    expect(lines.join('\n')).toMatch(/warning: .*ledger lacks what was recorded of steps 1 to 10: /)
    expect(statusOf('robbed')).toBe('finished')
  })

  it('when data cannot be read, nor the failure be described: what was trained so far is saved before the run ends', async () => {
    let step = 0
    const cut = () => {
      const cache = workshop.file('cut-cache')
      for (const name of readdirSync(cache)) writeFileSync(path.join(cache, name, 'tokens.bin'), '')
    }
    const error = await workshop.failure('cut', ['data.cache_dir=cut-cache'], {
      onStep: (record) => {
        step = record.step
        if (step !== 4) return
        cut()
        mkdirSync(inRun('cut', 'failure.json'))
      },
    })
    expect(error.code).toBe('CACHE_DAMAGED')
    expect(statusOf('cut')).toBe('failed')
    expect(readdirSync(inRun('cut', 'checkpoints'))).toEqual([`step-${step}`])
    rmSync(workshop.file('cut-cache'), { recursive: true })
    const { outcome } = await workshop.train('cut', ['data.cache_dir=cut-cache'])
    expect(outcome.steps.map((record) => record.step)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
  })
})

describe('a run that was asked to stop', () => {
  it('leaves a report as well', async () => {
    const error = await workshop.failure('stopped', [], {
      onStep: ({ step }) => {
        if (step === 3) process.kill(process.pid, 'SIGINT')
      },
    })
    expect(error).toMatchObject({ code: 'INTERRUPTED', exitCode: 75 })
    expect(statusOf('stopped')).toBe('interrupted')
    expect(existsSync(inRun('stopped', 'report.html'))).toBe(true)
  })
})
