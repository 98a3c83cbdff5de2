import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { currentEvents, type PolicyEvent, readEvents, readLedger } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const STEPS = 20
const settings = (method: string, more: readonly string[] = []): string[] => [
  `method=${method}`,
  `training={ max_steps: ${STEPS}, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, learning_rate: 0.01, seed: 1, bf16: false, save_steps: 100 }`,
  'evaluation={}',
  ...more,
]

const policiesOf = (name: string) =>
  currentEvents(readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events).filter(
    (event): event is PolicyEvent => event.type === 'policy',
  )

/** Samples and tokens of each step by source; and every row of the ledger. */
async function drawnOf(name: string) {
  const tokens = Array.from({ length: STEPS }, () => ({ web: 0, code: 0 }) as Record<string, number>)
  const rows: unknown[] = []
  for await (const part of readLedger(path.join(workshop.runFolder(name), 'ledger'))) {
    for (const [row, sample] of part.sample.entries()) {
      tokens[part.step[row]! - 1]![part.source[row]!]! += part.tokens[row]!
      rows.push([part.step[row], sample, part.loss[row], part.weight[row]])
    }
  }
  return { tokens, rows }
}

async function digest(name: string): Promise<string> {
  const hash = createHash('sha256')
  const checkpoint = path.join(workshop.runFolder(name), 'checkpoints', `step-${STEPS}`)
  for (const file of readdirSync(checkpoint).sort()) hash.update(readFileSync(path.join(checkpoint, file)))
  hash.update(JSON.stringify(policiesOf(name).map(({ time: _, ...event }) => event)))
  hash.update(JSON.stringify((await drawnOf(name)).rows))
  return hash.digest('hex')
}

describe('a run whose method steers the draw', () => {
  it('reads each source as the policy before the step says', async () => {
    await workshop.train('odm', settings('odm', ['data.packing=false']))
    const policies = policiesOf('odm')
    // The warm-up of so short a run has no step.
    expect(policies.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1))
    const { tokens } = await drawnOf('odm')
    const share = (counts: Record<string, number>) => counts.web! / (counts.web! + counts.code!)
    const read = tokens.reduce((sum, step) => sum + share(step), 0) / STEPS
    const wanted = (policies.slice(0, -1).reduce((sum, { shares }) => sum + shares.web!, 0) + 2 / 3) / STEPS
    expect(Math.abs(read - wanted)).toBeLessThan(0.06)
    for (const { shares } of policies) expect(shares.web! + shares.code!).toBeCloseTo(1, 12)
    expect(new Set(policies.map(({ shares }) => shares.web)).size).toBeGreaterThan(STEPS / 2)
  })

  it.each([
    ['packed', []],
    ['a sample a row', ['data.packing=false']],
  ] as const)('ends as if it had not been stopped (%s)', async (kind, more) => {
    const name = kind.replaceAll(' ', '-')
    await workshop.train(`${name}-control`, settings('odm', more))
    for (const stopAfterStep of [1, 2, 9, 13])
      await workshop.train(`${name}-stopped`, settings('odm', more), { stopAfterStep })
    await workshop.train(`${name}-stopped`, settings('odm', more))
    expect(await digest(`${name}-stopped`)).toBe(await digest(`${name}-control`))
  })

  it('draws and learns the same however a step is cut into micro-batches', async () => {
    await workshop.train(
      'wide',
      settings('odm', ['training.per_device_train_batch_size=8', 'training.gradient_accumulation_steps=1']),
    )
    await workshop.train(
      'narrow',
      settings('odm', ['training.per_device_train_batch_size=1', 'training.gradient_accumulation_steps=8']),
    )
    const [wide, narrow] = [policiesOf('wide'), policiesOf('narrow')]
    for (const [i, { shares }] of wide.entries()) expect(narrow[i]!.shares.web).toBeCloseTo(shares.web!, 4)
  })

  it('branches from a plain run, and does not go back into the order', async () => {
    const uniform = settings('uniform')
    await workshop.train('trunk', uniform, { stopAfterStep: 6 })
    const from = (name: string, step: number) =>
      `training.resume_from_checkpoint=${path.join(workshop.runFolder(name), 'checkpoints', `step-${step}`)}`
    const { outcome } = await workshop.train('branch', [...settings('odm'), from('trunk', 6)])
    expect(outcome.steps.at(-1)!.step).toBe(STEPS)
    await workshop.train('steered', settings('odm'), { stopAfterStep: 6 })
    const error = await workshop.failure('back', [...uniform, from('steered', 6)])
    expect(error.code).toBe('DRAW_STEERED')
  })

  it('refuses data of one source, and a mixing beside its own', async () => {
    const one = await workshop.failure('one', settings('odm', ['data.train=[web.jsonl]']))
    expect([one.code, one.message]).toEqual(['NEEDS_INPUT', expect.stringContaining('at least 2 sources')])
    const mixed = await workshop.failure('mixed', settings('odm', ['data.mixing={ web: 1, code: 1 }']))
    expect(mixed.message).toContain('data.mixing')
  })
})
