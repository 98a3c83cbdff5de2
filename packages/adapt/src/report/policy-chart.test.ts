import { describe, expect, it } from 'vitest'
import type { PolicyEvent } from '../record/index.js'
import { policyChart } from './policy-chart.js'
import { renderReport } from './render-report.js'
import { createRun, embeddedCharts, SOURCES } from './report-page.test.fixture.js'
import { SourceColors } from './source-colors.js'

const policyAt = (step: number): PolicyEvent => ({
  type: 'policy',
  step,
  time: 1,
  shares: { 'gsm8k-train': step / 1000, noise: 1 - step / 1000 },
})
const policies = (n: number) => Array.from({ length: n }, (_, i) => policyAt(i + 1))

describe('policyChart', () => {
  it('draws the share of each source, the last one always, and one that came later from where it came', () => {
    const late = { ...policyAt(500), shares: { noise: 0.4, novels: 0.6 } }
    const chart = policyChart([...policies(499), late], new SourceColors(SOURCES))
    const [{ steps, series }] = chart.tables as [(typeof chart.tables)[number]]
    expect(steps.length).toBeLessThanOrEqual(160)
    expect(steps.at(-1)).toBe(500)
    const line = (name: string) => series.find(({ label }) => label === name)!.values
    expect(line('noise').at(-1)).toBe(0.4)
    expect(line('novels').slice(-2)).toEqual([null, 0.6])
    expect(line('noise')[0]).toBe(1 - steps[0]! / 1000)
  })

  it('stands in the report of a run whose weights are all 1, instead of the sentence that it is uniform', () => {
    const run = createRun({ name: 'odm', method: 'ODM', seed: 0, tau: null, gain: 0 })
    const page = renderReport({ title: 'one', runs: [{ ...run, policies: policies(600) }] })
    expect(embeddedCharts(page).some(({ title }) => title === 'Share by source')).toBe(true)
    expect(page).not.toContain('the run is uniform')
    expect(renderReport({ title: 'one', runs: [run] })).toContain('the run is uniform')
    const preparation = { key: 'k', seconds: 1, flops: 0, isCached: false, figures: {} }
    const prepared = { ...run, preparation: { ...preparation, type: 'prepared', step: 0, time: 0 } as const }
    const selected = renderReport({ title: 'one', runs: [prepared] })
    expect(selected).not.toContain('the run is uniform')
    expect(selected).toContain('what the method made before training decides what is read')
  })
})
