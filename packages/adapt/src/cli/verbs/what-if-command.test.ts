import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Workshop } from '../../run/workshop.test.fixture.js'
import { safeIo } from '../terminal/cli-io.js'
import { whatIfCommand } from './what-if-command.js'

const workshop = new Workshop()
beforeAll(() => workshop.train('run', ['evaluation={}', 'method=adapt', 'training.max_steps=4']))
afterAll(() => workshop[Symbol.dispose]())

async function whatIf(options: Parameters<typeof whatIfCommand>[1], isTTY = false) {
  const written = { stdout: '', stderr: '' }
  const stream = (name: keyof typeof written) => ({ write: (text: string) => (written[name] += text), isTTY })
  const io = safeIo({ stdout: stream('stdout'), stderr: stream('stderr'), env: {} })
  await whatIfCommand(workshop.runFolder('run'), options, io)
  return written
}

describe('adapt what-if', () => {
  it('shows both gates, the sources and how exact the replay is', async () => {
    const { stdout, stderr } = await whatIf({ set: ['method.gate.temperature=0.05'] })
    expect(stderr).toBe('')
    expect(stdout).toContain('recorded  sigmoid temperature=1 w_min=0 w_max=1, token.wmean\n')
    expect(stdout).toContain('what if   sigmoid temperature=0.05 w_min=0 w_max=1, token.wmean\n')
    expect(stdout).toMatch(/^mean \(EDR\) +0\.\d{4} +0\.\d{4}$/m)
    expect(stdout).toMatch(/^web +\d+ +0\.\d{4} +0\.\d{4} +\d+\.\d% +\d+\.\d%$/m)
    expect(stdout).toMatch(/^weight changed by more than 2x: \d+ rows, \d+ samples$/m)
    expect(stdout).toContain('the recorded gate gives exactly the recorded weights')
  })

  it('prints the same figures as JSON', async () => {
    const json = JSON.parse((await whatIf({ json: true })).stdout) as {
      recorded: { weight_mean: number; weight_quantiles: Record<string, number> }
      what_if: unknown
      steps: number
      replay: unknown
      changed_rows: number
    }
    expect(json).toMatchObject({
      steps: 4,
      changed_rows: 0,
      replay: { max_difference: 0, mean_difference: 0 },
    })
    expect(json.what_if).toEqual(json.recorded)
    expect(json.recorded.weight_mean).toBeGreaterThan(0.4)
    expect(Object.keys(json.recorded.weight_quantiles)).toEqual(['0', '5', '25', '50', '75', '95', '100'])
  })
})
