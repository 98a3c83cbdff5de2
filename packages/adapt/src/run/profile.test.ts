import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRecording } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import type { ProfileSummary } from '../profile/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const STEPS = ['training.max_steps=6', 'training.gradient_accumulation_steps=2', 'evaluation.every_steps=2']

async function profiled(name: string, profile: { first?: number; last?: number }, options = {}) {
  const found: { summary: ProfileSummary; path: string }[] = []
  const onProfile = (summary: ProfileSummary, path: string) => found.push({ summary, path })
  const { lines } = await workshop.train(name, STEPS, { profile, onProfile, ...options })
  return { found, lines }
}

describe('a run with a profile', () => {
  it('tells where the time of the steps goes and leaves a trace; the rest of the run is not recorded', async () => {
    const { found } = await profiled('window', { first: 2, last: 4 })
    expect(found).toHaveLength(1)
    const { summary, path } = found[0]!
    expect(path).toBe(join(workshop.runFolder('window'), 'profile', 'step-2-4.json'))
    const trace = JSON.parse(readFileSync(path, 'utf8'))
    const steps = trace.traceEvents.filter(({ cat }: { cat: string }) => cat === 'step')
    expect(steps.map(({ name }: { name: string }) => name)).toEqual(['step 2', 'step 3', 'step 4'])
    const names = summary.parts.map((part) => part.name)
    expect(names).toEqual(
      expect.arrayContaining(['forward', 'loss', 'backward', 'optimiser', 'reading', 'records', 'method']),
    )
    // Two micro-batches: each has a backward of its own.
    const regions = trace.traceEvents.filter(
      ({ cat, name }: { cat: string; name: string }) => cat === 'region' && name === 'backward',
    )
    expect(regions).toHaveLength(6)
    const total = (list: readonly { us: number }[]) => list.reduce((sum, { us }) => sum + us, 0)
    expect(Math.abs(total(summary.parts) / summary.wallUs - 1)).toBeLessThan(1e-6)
    expect(Math.abs(total(summary.kinds) / summary.wallUs - 1)).toBeLessThan(1e-6)
    expect(isRecording()).toBe(false)
  })

  it('takes steps after some to warm up where none are named, as many as there are', async () => {
    const { found } = await profiled('default', {})
    expect(found.map(({ summary }) => [summary.firstStep, summary.lastStep])).toEqual([[4, 6]])
  })

  it('says that none of the steps were run', async () => {
    const { found, lines } = await profiled('beyond', { first: 20, last: 30 })
    expect(found).toHaveLength(0)
    expect(lines.join('\n')).toMatch(/warning: profile: this process ran none of the steps 20 to 30/)
    expect(existsSync(join(workshop.runFolder('beyond'), 'profile'))).toBe(false)
  })

  it('is cut where the run ends within it, and a run that goes on keeps it', async () => {
    const { found } = await profiled('cut', { first: 2, last: 6 }, { stopAfterStep: 3 })
    expect(found.map(({ summary }) => [summary.firstStep, summary.lastStep])).toEqual([[2, 3]])
    await workshop.train('cut', STEPS)
    expect(readdirSync(join(workshop.runFolder('cut'), 'profile'))).toEqual(['step-2-3.json'])
  })
})
