import { describe, expect, it } from 'vitest'
import type { AlertEvent, CalibrationEvent, RefreshEvent, StepRecord } from '../record/index.js'
import { spellOut } from './anchor-table.js'
import { visibleText } from './html.js'
import { renderReport } from './render-report.js'
import { cellsOf, createRun, embeddedCharts, HOSTILE } from './report-page.test.fixture.js'
import type { ReportRun, ReportSample } from './report-run.js'
import type { LedgerSummary } from './summarize-ledger.js'

const adapt = createRun({ name: 'adapt', method: 'ADAPT', seed: 0, steps: 40, tau: 0.2, gain: 0 })
const uniform = createRun({ name: 'uniform', method: 'uniform', seed: 0, steps: 40, tau: null, gain: 0 })

const refresh = (step: number, diagnostics: Record<string, number>): RefreshEvent => ({
  ...{ type: 'refresh', step, time: 1, reason: 'interval', numAnchors: 9, refreshMs: 1, flops: 1 },
  diagnostics,
})
const calibration = (step: number, mu: number): CalibrationEvent => ({
  ...{ type: 'calibration', step, time: 1, mu, tau: mu / 2, targetEdr: 0.5, targetEss: 0.9 },
  ...{ edr: 0.5, essRatio: 0.91, numScores: 99, reached: true },
})
const alert = (step: number, code: string, message: string): AlertEvent => ({
  ...{ type: 'alert', step, time: 1, severity: 'warning', code, message, values: {} },
})
const ledger: LedgerSummary = {
  firstStep: 31,
  lastStep: 40,
  numSamples: 1234,
  sources: [
    {
      source: 'web',
      rows: 30,
      weight: 0.5,
      share: { mass: 0.9, uniform: 0.72 },
      relativeStd: 0.1,
      score: 0.2,
      loss: 3,
    },
    {
      source: HOSTILE,
      rows: 10,
      weight: 0.1,
      share: { mass: 0.1, uniform: 0.28 },
      relativeStd: 0.1,
      score: 0,
      loss: 4,
    },
  ],
  betweenSources: 0.62,
  upWeighted: [],
  downWeighted: [],
  density: {
    edges: [0, 20, 40],
    low: -1,
    high: 1,
    cells: [
      [0, 100],
      [50, 100],
    ],
    color: 'ink',
  },
}

const pageOf = (run: Partial<ReportRun>): string =>
  renderReport({ title: 'one run', runs: [{ ...adapt, ...run }] })
const chartOf = (page: string, title: string) => embeddedCharts(page).find((chart) => chart.title === title)

describe('the report of a single run', () => {
  it('shows the loss pair in one chart and the spread of the scores', () => {
    const page = pageOf({})
    const loss = chartOf(page, 'Training loss')!.tables[0]!.series
    expect(loss.map((series) => [series.label, series.dash !== undefined])).toEqual([
      ['unweighted', false],
      ['weighted', true],
    ])
    const scores = chartOf(page, 'Scores')!
    expect(scores.tables[0]!.series.map((series) => series.label)).toContain('95 %')
    expect(scores.tables[0]!.series[3]!.values[7]).toBeCloseTo(adapt.steps[7]!.scoreQuantiles![3]!, 5)
    expect(page.includes('One seed proves nothing')).toBe(false)
  })

  it('draws mean and deviation of the scores for logs without quantiles', () => {
    const steps = adapt.steps.map(({ scoreQuantiles: _, ...step }): StepRecord => step)
    const labels = chartOf(pageOf({ steps }), 'Scores')!.tables[0]!.series.map((series) => series.label)
    expect(labels[0]).toBe('mean')
  })

  it('leaves out what a uniform run has nothing to say about', () => {
    const page = renderReport({ title: 'u', runs: [uniform] })
    const titles = embeddedCharts(page).map((chart) => chart.title)
    for (const title of ['Weights', 'Scores', 'Effective sample size', 'Effective data ratio'])
      expect(titles).not.toContain(title)
    expect(titles).not.toContain('Relative weight by source')
    expect(page).toContain('Every weight is 1: the run is uniform')
    expect(chartOf(page, 'Training loss')!.tables[0]!.series).toHaveLength(1)
  })

  it('keeps a single spike of a long run in view', () => {
    const steps = Array.from({ length: 5000 }, (_, i) => ({
      ...adapt.steps[i % 40]!,
      step: i + 1,
      gradNorm: i === 3333 ? 77 : 1,
    }))
    const line = chartOf(pageOf({ steps }), 'Gradient norm')!.tables[0]!.series[0]!
    expect(line.values.length).toBeLessThanOrEqual(1000)
    expect(Math.max(...line.values.map(Number))).toBeLessThan(20)
    expect(line.high!.filter((value) => value === 77)).toHaveLength(1)
    expect(line.low!.every((value) => value === 1)).toBe(true)
  })

  it('stays small for a hundred thousand steps', () => {
    const steps = Array.from({ length: 100_000 }, (_, i) => ({ ...adapt.steps[i % 40]!, step: i + 1 }))
    expect(pageOf({ steps }).length).toBeLessThan(2_000_000)
  })
})

describe('runs that were evaluated at different steps', () => {
  it('get their curves, since there is nothing to take a difference of', () => {
    const evaluations = uniform.evaluations.map((one) => ({ ...one, step: one.step + 1 }))
    const page = renderReport({ title: 'two', runs: [{ ...uniform, evaluations }, adapt] })
    const labels = embeddedCharts(page).map((chart) => chart.yLabel)
    expect(labels).toContain('bits per byte')
    expect(labels).not.toContain('bits per byte, difference')
  })
})

describe('the gate and the anchors', () => {
  it('are told in a sentence and a table: their course has few values', () => {
    const page = pageOf({
      calibrations: [calibration(10, 0.1), calibration(20, 0.2), calibration(30, 0.4)],
      refreshes: [
        refresh(0, { resultantLength: 0.4, worldSize: 1 }),
        refresh(20, { resultantLength: 0.5, worldSize: 1, split_half: 0.9 }),
      ],
    })
    expect(page).toContain('The gate was calibrated 3 times')
    expect(page).toContain('\u03bc went from 0.1 to 0.4')
    expect(cellsOf(page, 'resultant length')).toEqual(['0.4', '', '0.5'])
    expect(cellsOf(page, 'world size')).toEqual(['1', '', ''])
    expect(cellsOf(page, 'split half')).toEqual(['0.9', '', ''])
    expect(chartOf(page, 'resultant length')).toBeUndefined()
  })

  it('take no room in a run without them', () => {
    const page = pageOf({})
    expect(page).not.toContain('>Anchors<')
    expect(page).not.toContain('The gate was calibrated')
  })

  it('have names in words', () => {
    expect(['resultantLength', 'split_half', 'AUC', 'aucOfQa'].map(spellOut)).toEqual([
      'resultant length',
      'split half',
      'AUC',
      'auc of qa',
    ])
  })
})

describe('what the ledger says', () => {
  const page = pageOf({ ledger })

  it('is a table of the sources with their share of the variance', () => {
    expect(cellsOf(page, 'web')).toEqual([
      '72.0\u202f%',
      '90.0\u202f%',
      '1.250',
      '0.500',
      '0.100',
      '0.200',
      '3.000',
    ])
    expect(page).toContain('62.0\u202f% in the last quarter of the run lay between the sources')
    expect(page).toContain('Sources, steps 31 to 40')
  })

  it('is a map of the scores with the median over it', () => {
    const chart = chartOf(page, 'Where the scores lie')!
    expect(chart.heat).toEqual(ledger.density)
    expect(chart.yRange).toEqual([-1, 1])
    expect(chart.tables[0]!.series.map((series) => series.label)).toEqual(['median'])
  })
})

describe('the samples of a run folder', () => {
  const sample = (id: string, relativeWeight: number, rest: Partial<ReportSample> = {}): ReportSample => ({
    ...{ id, source: 's', weight: 0.5, relativeWeight, score: 0, loss: 1, timesSeen: 3, ...rest },
  })

  it('are in order of relative weight, with place, count and text or the reason for none', () => {
    const samples = [
      sample('low', 0.1, { textNote: 'The data has changed since the run.' }),
      sample('high', 1.9, { place: 'corpus/a.jsonl:7', text: `<b>${HOSTILE}</b>` }),
    ]
    const page = pageOf({ samples, ledger })
    const [, up, down] = page.split('<caption>Most ')
    expect(up).toContain('<td>1.900</td><td>0.500</td>')
    expect(up).toContain('s \u00b7 high \u00b7 corpus/a.jsonl:7')
    expect(up).toContain('&lt;b&gt;')
    expect(down).toContain('The data has changed since the run.')
    expect(page).toContain('1\u202f234 different samples')
  })

  it('do not repeat a place that the id already says', () => {
    const page = pageOf({ samples: [sample('a.jsonl:7#2', 1, { place: 'a.jsonl:7' })] })
    expect(page).toContain('s \u00b7 a.jsonl:7#2</span>')
  })

  it('show characters that cannot be seen', () => {
    expect(visibleText('a\u200bb\u00ad\u{e0041}\u2060\u202e')).toBe('a\\u200bb\\u00ad\\ue0041\\u2060\\u202e')
    // Joined emoji and tabs are text.
    const family = '\u{1f469}\u200d\u{1f467}\tx\n'
    expect(visibleText(family)).toBe(family)
  })
})

describe('warnings', () => {
  it('are told from notes, which stand with the evaluations', () => {
    const note = (code: string, message: string): AlertEvent => ({
      ...alert(40, code, message),
      severity: 'info',
    })
    const alerts = [note('EARLY_STOP', HOSTILE), note('BEST_MODEL', 'best model: step 30')]
    const page = pageOf({ alerts })
    const section = page.slice(
      page.indexOf('<section id="evaluation">'),
      page.indexOf('<section id="figures">'),
    )
    expect(section).toContain('<p class="note">best model: step 30</p>')
    expect(section).toContain('&lt;/script&gt;')
    expect(page).not.toContain('href="#alerts"')
  })

  it('are one row per code, with their steps and the last message as text', () => {
    const alerts = [
      alert(3, 'STEP_SKIPPED', 'first'),
      alert(9, 'STEP_SKIPPED', HOSTILE),
      alert(5, 'CHECKPOINT_FAILED', 'disk full'),
    ]
    const page = pageOf({ alerts, restarts: 2 })
    expect(cellsOf(page, 'STEP_SKIPPED').slice(0, 3)).toEqual(['warning', '2', '3 to 9'])
    expect(cellsOf(page, 'CHECKPOINT_FAILED')[3]).toBe('disk full')
    expect(cellsOf(page, 'warnings')).toEqual(['3'])
    expect(cellsOf(page, 'restarts')).toEqual(['2'])
    expect(page.includes('<img')).toBe(false)
  })
})
