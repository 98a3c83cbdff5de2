import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { currentEvents, type RunEvent, readEvents, readLedger } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const STEPS = 24
/** A cache of its own for each run, so that every run prepares. */
const settings = (method: string, cache: string): string[] => [
  `method=${method}`,
  `training={ max_steps: ${STEPS}, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, learning_rate: 0.01, seed: 1, bf16: false }`,
  'evaluation={}',
  `data.cache_dir=${cache}`,
]
const DOREMI = '{ preset: doremi, signal: { proxy_steps: 0.2 } }'

const eventsOf = (name: string) =>
  currentEvents(readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events)
const ofType = <T extends RunEvent['type']>(name: string, type: T) =>
  eventsOf(name).filter((event): event is Extract<RunEvent, { type: T }> => event.type === type)

/** Share of the tokens that a run read from web. */
async function webShare(name: string): Promise<number> {
  const tokens = { web: 0, code: 0 } as Record<string, number>
  for await (const part of readLedger(path.join(workshop.runFolder(name), 'ledger')))
    for (const [row, source] of part.source.entries()) tokens[source]! += part.tokens[row]!
  return tokens.web! / (tokens.web! + tokens.code!)
}

const weights = (name: string) =>
  readFileSync(path.join(workshop.runFolder(name), 'model', 'model.safetensors'))

describe('doremi', () => {
  it('trains a reference and a proxy first, and reads the sources by what the proxy learnt', async () => {
    const { lines } = await workshop.train('doremi', settings(DOREMI, 'cache-a'))
    expect(lines.filter((line) => /^(reference|proxy): model /.test(line))).toHaveLength(2)
    const [prepared] = ofType('doremi', 'prepared')
    const web = prepared!.figures['share.web']!
    expect(web + prepared!.figures['share.code']!).toBeCloseTo(1, 12)
    expect(Math.abs((await webShare('doremi')) - web)).toBeLessThan(0.05)
    const again = await workshop.train('again', settings(DOREMI, 'cache-a'))
    expect(again.lines.some((line) => line.includes('found in'))).toBe(true)
    expect(weights('again').equals(weights('doremi'))).toBe(true)
  })

  it('goes on with a preparation that was stopped, and ends as if it had not been', async () => {
    const set = settings(DOREMI, 'cache-b')
    for (const name of ['reference', 'proxy']) {
      const onLine = (line: string) => {
        if (line.startsWith(`${name}: model `)) process.emit('SIGTERM', 'SIGTERM')
      }
      expect((await workshop.failure('stopped', set, { onLine })).code).toBe('INTERRUPTED')
    }
    const { lines } = await workshop.train('stopped', set)
    expect(lines.some((line) => line.startsWith('reference: '))).toBe(false)
    expect(weights('stopped').equals(weights('doremi'))).toBe(true)
    expect(ofType('stopped', 'prepared')[0]!.figures).toEqual(ofType('doremi', 'prepared')[0]!.figures)
  })

  it('reads the sources by shares that are given, without training anything first', async () => {
    const fixed = '{ preset: doremi, signal: { shares: { web: 1, code: 3 } } }'
    const { lines } = await workshop.train('fixed', settings(fixed, 'cache-a'))
    expect(lines.some((line) => line.startsWith('reference: '))).toBe(false)
    expect(Math.abs((await webShare('fixed')) - 0.25)).toBeLessThan(0.05)
    const unknown = await workshop.failure('unknown', settings(fixed.replace('code', 'cod'), 'cache-a'))
    expect(unknown.message).toContain('the data has no source "cod"')
  })
})

describe('regmix', () => {
  const REGMIX = '{ preset: regmix, signal: { proxies: 10, proxy_steps: 0.2, held_out: 0.1 } }'

  it('keeps what it measured of each proxy and not the proxy, and goes on behind the last one after a stop', async () => {
    await workshop.train('regmix', settings(REGMIX, 'cache-c'))
    const [prepared] = ofType('regmix', 'prepared')
    expect(prepared!.figures['share.web']! + prepared!.figures['share.code']!).toBeCloseTo(1, 12)
    expect(prepared!.figures.lowestProxyLoss).toBeLessThan(prepared!.figures.highestProxyLoss!)
    expect(Math.abs((await webShare('regmix')) - prepared!.figures['share.web']!)).toBeLessThan(0.05)
    const set = settings(REGMIX, 'cache-d')
    const onLine = (line: string) => {
      if (line.startsWith('proxy-6: model ')) process.emit('SIGTERM', 'SIGTERM')
    }
    expect((await workshop.failure('stopped-regmix', set, { onLine })).code).toBe('INTERRUPTED')
    const [artefact] = readdirSync(workshop.file('cache-d/prepared'))
    const left = readdirSync(workshop.file(`cache-d/prepared/${artefact}/work`))
    expect(left.filter((name) => name.startsWith('proxy-') && !name.endsWith('measured'))).toEqual([
      'proxy-6',
    ])
    const { lines } = await workshop.train('stopped-regmix', set)
    const trained = lines.flatMap((line) => /^(proxy-\d+): model /.exec(line)?.[1] ?? [])
    expect(trained).toEqual(['proxy-6', 'proxy-7', 'proxy-8', 'proxy-9', 'proxy-10'])
    expect(weights('stopped-regmix').equals(weights('regmix'))).toBe(true)
    const [resumed] = ofType('stopped-regmix', 'prepared')
    expect([resumed!.figures, resumed!.flops]).toEqual([prepared!.figures, prepared!.flops])
  })
})

describe('doremi-proxy', () => {
  it('weighs the tokens of sources over a reference that it trains first', async () => {
    const method = '{ preset: doremi-proxy, gate: { first_excess: 4 } }'
    await workshop.train('proxy', settings(method, 'cache-a'))
    const policies = ofType('proxy', 'policy')
    expect(policies).toHaveLength(STEPS)
    for (const { shares } of policies) expect(shares.web! + shares.code!).toBeCloseTo(1, 9)
    const { weightQuantiles } = ofType('proxy', 'step').at(-1)!
    expect(weightQuantiles[0]).toBeLessThan(weightQuantiles.at(-1)!)
  })
})

describe('doremi-proxy', () => {
  it.each([
    ['its own mixing', { web: 1, code: 3 }, 0.25],
    ['the natural one', 'natural', undefined],
  ] as const)('divides by the shares that the data is drawn with: %s', async (name, mixing, share) => {
    // Weights that hardly move stay where they begin.
    const still = '{ preset: doremi-proxy, gate: { eta: 1.0e-9, smoothing: 0 } }'
    const set = [...settings(still, 'cache-proxy'), `data.mixing=${JSON.stringify(mixing)}`]
    await workshop.train(name, set)
    const [policy] = ofType(name, 'policy')
    const web = share ?? (await webShare(name))
    expect(policy!.shares.web!).toBeCloseTo(web, share === undefined ? 1 : 6)
  })
})

describe('a share of data.mixing', () => {
  it('of a source of which the method kept nothing is refused by its name', async () => {
    const one = settings('{ preset: random, gate: { keep: 1.0e-9 } }', 'cache-one')
    const error = await workshop.failure('gone', [...one, 'data.mixing={ web: 1, code: 1 }'])
    expect(error).toMatchObject({ code: 'NOTHING_KEPT', exitCode: 3 })
    expect(error.message).toMatch(
      /^data\.mixing: the method kept no sample of "(web|code)", which has a share; /,
    )
  })
})
