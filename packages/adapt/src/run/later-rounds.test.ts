import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { currentEvents, readEvents, readLedger } from '../record/index.js'
import { StopRequest } from './stop-request.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const STEPS = 12
/** Rounds before training and after 4 and 8 steps. */
const SETTINGS = [
  'method={ preset: ica, signal: { k: 1, rounds: 3, scored: 1 } }',
  `training={ max_steps: ${STEPS}, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, learning_rate: 0.01, seed: 1, bf16: false, save_steps: 100 }`,
  'evaluation={}',
]

const eventsOf = (name: string) =>
  currentEvents(readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events)
const roundsOf = (name: string) =>
  eventsOf(name).filter(({ type }) => (type as string) === 'rescored') as unknown as Record<string, number>[]
const signalFlops = (name: string) =>
  eventsOf(name).flatMap((event) => (event.type === 'step' ? [event.flopsSignal] : []))

async function scoresOf(name: string) {
  const rows: (readonly [step: number, sample: number, score: number, weight: number])[] = []
  for await (const part of readLedger(path.join(workshop.runFolder(name), 'ledger')))
    for (const [row, sample] of part.sample.entries())
      rows.push([part.step[row]!, sample, part.score[row]!, part.weight[row]!])
  return rows
}

async function digest(name: string): Promise<string> {
  const hash = createHash('sha256')
  const checkpoint = path.join(workshop.runFolder(name), 'checkpoints', `step-${STEPS}`)
  for (const file of readdirSync(checkpoint).sort()) hash.update(readFileSync(path.join(checkpoint, file)))
  hash.update(JSON.stringify(roundsOf(name).map(({ time: _, ...event }) => event)))
  hash.update(JSON.stringify([await scoresOf(name), signalFlops(name)]))
  return hash.digest('hex')
}

/** Asks for the stop when it was looked at so many times after a step. */
class LateStop extends StopRequest {
  private looks = 0
  private isArmed = false
  constructor(private readonly after: number) {
    super()
  }
  arm(): void {
    this.isArmed = true
  }
  override get requested(): boolean {
    return this.isArmed && this.looks++ >= this.after
  }
}

describe('a run whose samples are scored in several rounds', () => {
  it('scores them by the model as it is, and counts what that took', async () => {
    const { lines } = await workshop.train('rounds', SETTINGS)
    expect(lines.some((line) => line.startsWith('preparation of context-gain'))).toBe(true)
    expect(roundsOf('rounds').map(({ step, scored }) => [step, scored])).toEqual([
      // Of 90: the others have no room for an anchor before them.
      [4, 55],
      [8, 55],
    ])
    const flops = signalFlops('rounds')
    expect(flops.slice(0, 4)).toEqual([0, 0, 0, 0])
    expect(flops[4]).toBeGreaterThan(0)
    expect(flops.slice(4)).toEqual([1, 1, 1, 1, 2, 2, 2, 2].map((n) => n * flops[4]!))
    const once = [...SETTINGS, 'method.signal.rounds=1']
    const { lines: found } = await workshop.train('once', once)
    // How many rounds there are changes nothing of the first.
    expect(found.some((line) => line.includes('found in'))).toBe(true)
    const [several, one] = [await scoresOf('rounds'), await scoresOf('once')]
    expect(several.filter(([step]) => step <= 4)).toEqual(one.filter(([step]) => step <= 4))
    const changed = several.filter(([step, , score], i) => step > 4 && score !== one[i]![2])
    expect(changed.length).toBeGreaterThan(0.5 * several.filter(([step]) => step > 4).length)
  })

  it('ends as if it had not been stopped, between two rounds and within one', async () => {
    await workshop.train('control', SETTINGS)
    for (const stopAfterStep of [2, 4, 6]) await workshop.train('stopped', SETTINGS, { stopAfterStep })
    await workshop.train('stopped', SETTINGS)
    expect(await digest('stopped')).toBe(await digest('control'))
    let numWithin = 0
    for (const looks of [1, 2, 3]) {
      using stop = new LateStop(looks)
      const onStep = ({ step }: { readonly step: number }) => {
        if (step === 4) stop.arm()
      }
      const name = `within-${looks}`
      const error = await workshop.failure(name, SETTINGS, { stop, onStep })
      expect(error.code).toBe('INTERRUPTED')
      const began = eventsOf(name).filter(({ type }) => type === 'step').length
      if (began === 4 && roundsOf(name).length === 0) numWithin += 1
      await workshop.train(name, SETTINGS)
      expect(await digest(name)).toBe(await digest('control'))
    }
    expect(numWithin).toBeGreaterThan(0)
  })

  it('refuses them where the first round decides what is kept', async () => {
    const selection = [...SETTINGS, 'method.gate={ kind: top-fraction }', 'method.apply=mask']
    const error = await workshop.failure('kept', selection)
    expect(error.message).toContain('rounds')
  })
})
