import { Script } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { renderReport } from './render-report.js'
import {
  calibrated,
  cellsOf,
  createRun,
  embeddedCharts,
  HOSTILE,
  input,
  paper,
  SOURCES,
  uniform,
} from './report-page.test.fixture.js'
import type { ReportRun } from './report-run.js'

describe('renderReport', () => {
  const page = renderReport(input)

  it('is one page that asks for nothing outside itself', () => {
    expect(/^<!doctype html>/.test(page)).toBe(true)
    expect(
      page.includes(
        `content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:;`,
      ),
    ).toBe(true)
    const markup = page.replace(/<script[^>]*>.*?<\/script>/gs, '').replace(/<style>.*?<\/style>/gs, '')
    expect(/<(script|iframe|object|embed|form|base)/.test(markup)).toBe(false)
    for (const [, target] of markup.matchAll(/(?:src|href|action|data)="([^"]*)"/g))
      expect(target).toMatch(/^(#|data:,$)/)
    const styles = [...page.matchAll(/<style>(.*?)<\/style>/gs)].map(([, css]) => css).join()
    expect(/url\(|@import/.test(styles)).toBe(false)
    expect(/\b(src|href)="https?:/.test(page)).toBe(false)
  })

  it('carries the chart library with its licence, and scripts that compile', () => {
    const scripts = [...page.matchAll(/<script>(.*?)<\/script>/gs)].map(([, code]) => code!)
    expect(scripts).toHaveLength(1)
    expect(scripts[0]).toContain('Permission is hereby granted')
    expect(() => new Script(scripts[0]!)).not.toThrow()
  })

  it('has a plot for each embedded chart and a chart for everything the steps hold', () => {
    const charts = embeddedCharts(page)
    expect(page.split('<div class="plot">').length - 1).toBe(charts.length)
    const titles = charts.map((chart) => chart.title)
    for (const title of [
      'Training loss',
      'Effective sample size',
      'Effective data ratio',
      'Gradient norm',
      'Learning rate',
    ]) {
      expect(titles).toContain(title)
    }
    // Uniform has nothing to say about its weights.
    expect(titles.filter((title) => title === 'Relative weight by source')).toHaveLength(2)
    expect(titles.filter((title) => title === 'Weights')).toHaveLength(2)
    expect(titles.filter((title) => title === 'Scores')).toHaveLength(2)
    expect(titles.filter((title) => title === 'Where the scores lie')).toHaveLength(0)
    for (const chart of charts) {
      for (const { steps, series } of chart.tables) {
        expect(steps.length).toBeGreaterThan(0)
        for (const one of series) expect(one.values).toHaveLength(steps.length)
      }
    }
  })

  it('draws the values of the records', () => {
    const loss = embeddedCharts(page).find((chart) => chart.title === 'Training loss')!
    expect(loss.tables).toHaveLength(3)
    expect(loss.tables[1]!.steps).toEqual(paper.steps.map((step) => step.step))
    const close = (values: readonly number[]): unknown[] => values.map((value) => expect.closeTo(value, 4))
    expect(loss.tables[1]!.series[0]!.values).toEqual(close(paper.steps.map((step) => step.lossUnweighted)))
    const [single] = embeddedCharts(renderReport({ title: 'one', runs: [paper] })).filter(
      (chart) => chart.title === 'Training loss',
    )
    expect(single!.tables[0]!.series[1]!.values).toEqual(close(paper.steps.map((step) => step.lossWeighted)))
  })

  it('draws the relative weight of every source over a tenth of the run, on one scale for all runs', () => {
    const [first, second, ...others] = embeddedCharts(page).filter(
      (chart) => chart.title === 'Relative weight by source',
    )
    expect(others).toEqual([])
    expect(first!.yRange).toEqual(second!.yRange)
    expect(first).toMatchObject({ wide: true, reference: { value: 1 } })
    const { steps, series } = second!.tables[0]!
    expect(series.map(({ label }) => label)).toEqual([...SOURCES].sort())
    // The middle one: 60 of 600 steps.
    const at = steps.findIndex((step) => step >= 300)
    const near = calibrated.steps.filter(({ step }) => step > steps[at]! - 30 && step <= steps[at]! + 30)
    const sum = (key: 'massBySource' | 'uniformMassBySource') =>
      near.reduce((total, step) => total + (step[key]?.noise ?? 0), 0)
    const noise = series.find(({ label }) => label === 'noise')!.values[at]!
    expect(noise).toBeCloseTo(sum('massBySource') / sum('uniformMassBySource'), 2)
    expect(noise).toBeLessThan(0.9)
  })

  it('shows the last evaluation and its difference to the first run, better ones marked', () => {
    const bits = (run: ReportRun): number => run.evaluations.at(-1)!.sources['gsm8k-train']!.bits_per_byte!
    const cells = cellsOf(page, 'gsm8k-train')
    expect(cells).toHaveLength(5)
    expect([cells[0], cells[1], cells[3]]).toEqual(
      [uniform, paper, calibrated].map((run) => bits(run).toFixed(4)),
    )
    expect(cells[4]).toBe(`\u2212${(bits(uniform) - bits(calibrated)).toFixed(4)}`)
    expect(new RegExp(`<td class="diff good">${cells[4]}</td>`).test(page)).toBe(true)
  })

  it('shows the loss on the held-out part of the data, in a row for each source and as a curve', () => {
    const measured = { bits_per_byte: 1, nats_per_token: 2.5, bytes: 1, tokens: 1, documents: 1 }
    const evaluations = [4, 8].map((step) => ({
      step,
      sources: {},
      validation: { eval_loss: 10 / step, sources: { 'val-web': measured } },
    }))
    const shown = renderReport({ title: 'held out', runs: [{ ...paper, evaluations }] })
    expect(cellsOf(shown, 'eval_loss')).toEqual(['1.2500'])
    expect(cellsOf(shown, 'val-web')).toEqual(['2.5000'])
    expect(shown).not.toContain('No run was evaluated')
    const chart = embeddedCharts(shown).find(({ title }) => title === 'eval_loss')!
    expect(chart.tables[0]).toMatchObject({ steps: [4, 8], series: [{ values: [2.5, 1.25] }] })
    expect(page).not.toContain('eval_loss')
  })

  it('sums up selection and cost over the steps', () => {
    const edr = calibrated.steps.reduce((sum, step) => sum + step.weightMean, 0) / 600
    expect(cellsOf(page, 'effective data ratio')[3]).toBe(edr.toFixed(3))
    expect(cellsOf(page, 'effective data ratio')[0]).toBe('1.000')
    expect(cellsOf(page, 'tokens processed')[0]).toBe('2\u202f457\u202f600')
    expect(cellsOf(page, 'training <span class="unit">FLOPs')[0]).toBe('3.24\u202f\u00d7\u202f1013')
    expect(cellsOf(page, 'final tau')).toEqual(['none', '1', '', '0.12', ''])
  })

  it('says that one seed proves nothing', () => {
    expect(page.includes('One seed proves nothing.')).toBe(true)
  })

  it('compares methods over paired seeds instead once there are several', () => {
    const seeds = [0, 1, 2]
    const many = seeds.flatMap((seed) => [
      createRun({ name: `uniform-${seed}`, method: 'uniform', seed, steps: 20, tau: null, gain: 0 }),
      createRun({ name: `adapt-${seed}`, method: 'ADAPT', seed, steps: 20, tau: 0.2, gain: -0.5 }),
    ])
    const compared = renderReport({ title: 'seeds', runs: many })
    expect(compared.includes('One seed proves nothing')).toBe(false)
    const bits = (i: number): number => many[i]!.evaluations.at(-1)!.sources['gsm8k-train']!.bits_per_byte!
    const differences = seeds.map((seed) => bits(2 * seed + 1) - bits(2 * seed))
    const mean = differences.reduce((a, b) => a + b, 0) / 3
    const std = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / 2)
    expect(cellsOf(compared, 'gsm8k-train')[2]).toBe(
      `\u2212${Math.abs(mean).toFixed(4)} \u00b1 ${std.toFixed(4)} 3 of 3 lower`,
    )
  })

  it('never turns text of the data into markup', () => {
    const bad = HOSTILE.slice(0, 60)
    const hostile: ReportRun = {
      ...createRun({ name: HOSTILE, method: HOSTILE, seed: 0, steps: 5, tau: 0.5, gain: 0 }),
      config: { [HOSTILE]: HOSTILE },
      summary: { [HOSTILE]: HOSTILE },
    }
    const step = {
      ...hostile.steps[0]!,
      massBySource: { [HOSTILE]: 1, ['__proto__']: 0 },
      weightMeanBySource: { [HOSTILE]: 1 },
    }
    const evaluation = { bits_per_byte: 1, nats_per_token: 1, bytes: 1, tokens: 1, documents: 1 }
    const sources = Object.fromEntries([
      [HOSTILE, evaluation],
      ['__proto__', evaluation],
    ])
    const runs = [
      {
        ...hostile,
        steps: [step],
        evaluations: [
          { step: 1, sources },
          { step: 2, sources },
        ],
      },
    ]
    const page = renderReport({ title: HOSTILE, runs: [...runs, ...runs], notes: [HOSTILE] })
    expect(page.includes(bad)).toBe(false)
    expect(page.match(/<script/g)).toHaveLength(2)
    expect(page.match(/<\/script/g)).toHaveLength(2)
    expect(page.includes('<img')).toBe(false)
    for (const character of '\u0007\u202e\u2028') expect(page.includes(character)).toBe(false)
    expect(page.includes('&lt;/script&gt;&lt;script&gt;')).toBe(true)
    const labels = embeddedCharts(page).flatMap((chart) =>
      chart.tables.flatMap((table) => table.series.map((s) => s.label)),
    )
    expect(labels.some((label) => label.includes('</script>'))).toBe(true)
  })

  it('puts samples in order of weight: the highest first in one table, the lowest first in the other', () => {
    const [, up, down] = page.split('<caption>')
    const weights = (part: string): number[] =>
      [...part.matchAll(/<tr><td>([0-9.]+)<\/td>/g)].map(([, w]) => Number(w))
    expect(up).toContain('Most up-weighted')
    expect(weights(up!)).toEqual([...weights(up!)].sort((a, b) => b - a))
    expect(weights(down!.split('</table>')[0]!)).toEqual(
      [...weights(down!.split('</table>')[0]!)].sort((a, b) => a - b),
    )
    expect(Math.min(...weights(up!))).toBeGreaterThanOrEqual(
      Math.max(...weights(down!.split('</table>')[0]!)),
    )
  })

  it('gives the same page for the same input', () => {
    expect(renderReport(input) === page).toBe(true)
  })

  it('leaves gaps where values are not finite and counts such steps', () => {
    const steps = uniform.steps
      .slice(0, 10)
      .map((step, i) =>
        i === 4 ? { ...step, lossWeighted: Number.NaN, gradNorm: Number.POSITIVE_INFINITY } : step,
      )
    const page = renderReport({ title: 'gap', runs: [{ ...uniform, steps }] })
    const norm = embeddedCharts(page).find((chart) => chart.title === 'Gradient norm')!
    expect(norm.tables[0]!.series[0]!.values[4]).toBeNull()
    expect(norm.tables[0]!.series[0]!.values[5]).toBeCloseTo(steps[5]!.gradNorm, 5)
    expect(cellsOf(page, 'steps with a value not finite')).toEqual(['1'])
  })

  it('draws long runs as means over equal numbers of steps, the same for all runs', () => {
    const stretch = (run: ReportRun, count: number): ReportRun => ({
      ...run,
      steps: Array.from({ length: count }, (_, i) => ({ ...run.steps[i % 600]!, step: i + 1 })),
    })
    const page = renderReport({ title: 'long', runs: [stretch(uniform, 2500), stretch(paper, 700)] })
    const norm = embeddedCharts(page).find((chart) => chart.title === 'Gradient norm')!
    expect(norm.tables.map((table) => table.steps.slice(0, 3))).toEqual([
      [3, 6, 9],
      [3, 6, 9],
    ])
    expect(norm.tables[0]!.steps).toHaveLength(834)
    const first = uniform.steps.slice(0, 3).reduce((sum, step) => sum + step.gradNorm, 0) / 3
    expect(norm.tables[0]!.series[0]!.values[0]).toBeCloseTo(first, 5)
    expect(page.includes('mean of 3 steps')).toBe(true)
  })

  it('never gathers the anchored source with others, however many there are and little it weighs', () => {
    const names = Array.from({ length: 60 }, (_, i) => `s${String(i).padStart(2, '0')}`)
    const uniformMassBySource = Object.fromEntries(names.map((name) => [name, 1 / 60]))
    const massBySource = Object.fromEntries(names.map((name, i) => [name, (i + 0.5) / 1800]))
    const steps = paper.steps.slice(0, 3).map((step) => ({ ...step, massBySource, uniformMassBySource }))
    const page = renderReport({ title: 'sources', runs: [{ ...paper, steps, anchoredSources: ['s31'] }] })
    const table = page.split('over all steps</caption>')[1]!.split('</table>')[0]!
    expect(cellsOf(table, 's31')).toEqual(['1.050'])
    expect(cellsOf(table, '48 other sources, moved less')).toEqual([''])
    const chart = embeddedCharts(page).find(({ title }) => title === 'Relative weight by source')!
    const { series } = chart.tables[0]!
    const anchored = series.find(({ label }) => label === 's31')!
    expect(anchored).toMatchObject({ strong: true, color: expect.stringMatching(/^s\d$/) })
    expect(anchored.values).toEqual([expect.closeTo(31.5 / 30, 4), expect.anything(), expect.anything()])
    const colored = series.filter(({ color }) => color !== 'grey')
    expect(colored.map(({ label }) => label)).toEqual([
      's00',
      's01',
      's02',
      's03',
      's31',
      's56',
      's57',
      's58',
      's59',
    ])
    expect(series.filter(({ unnamed, color }) => color === 'grey' && unnamed !== true)).toMatchObject([
      { label: '51 other sources' },
    ])
  })

  it('gives a source the same colour in every chart and table', () => {
    const charts = embeddedCharts(page)
    const evaluated = charts.find(({ title }) => title === 'adapt against uniform')!
    const weighted = charts.find(({ title }) => title === 'Relative weight by source')!
    const colors = (chart: typeof weighted): unknown[] =>
      chart.tables[0]!.series.map(({ label, color }) => [label, color]).sort()
    expect(colors(evaluated)).toEqual(colors(weighted))
    for (const [name, color] of colors(weighted) as [string, string][])
      expect(page).toContain(`<span class="key k-${color}"></span>${name}`)
  })

  it.each([
    ['one source', { massBySource: { a: 1 }, uniformMassBySource: { a: 1 } }, 'The data has one source'],
    ['no weight at all', { massBySource: { a: 0 }, uniformMassBySource: { a: 1 } }, 'No step had any weight'],
  ])('says in a sentence what a run with %s has no curve of', (_, shares, sentence) => {
    const steps = paper.steps.slice(0, 3).map((step) => ({ ...step, ...shares }))
    const page = renderReport({ title: 'flat', runs: [{ ...paper, steps }] })
    expect(page).toContain(sentence)
    expect(embeddedCharts(page).some(({ title }) => title === 'Relative weight by source')).toBe(false)
  })

  it('shows what a run was made from, and for several runs what they have in common', () => {
    const about = {
      ...{ started: 1_795_876_102, model: 'base/<b>', parameters: 990_000, files: 9, samples: 8921 },
      ...{ tokens: 1_870_088, batchSize: 16, maxLength: 256, learningRate: 2e-3, totalSteps: 900 },
    }
    const facts = (runs: ReportRun[]): string =>
      /<dl class="facts">.*?<\/dl>/s.exec(renderReport({ title: 'x', runs }))![0].replace(/<[^>]+>/g, ' ')
    const single = facts([{ ...paper, about: { ...about, status: 'interrupted' } }])
    for (const part of [
      '28 Nov 2026, 14:28 UTC',
      'base/&lt;b&gt;',
      '0.99\u202fM parameters',
      '1.87\u202fM tokens',
    ])
      expect(single).toContain(part)
    expect(single).toMatch(
      /8\u202f921 samples in 9 files.*16 \u00d7 256 tokens.*0\.002.*600 of 900\s+interrupted/,
    )
    const both = facts([
      { ...paper, about },
      { ...calibrated, about: { ...about, batchSize: 8 } },
    ])
    expect(both).toContain('0.99')
    expect(both).not.toContain('256 tokens')
  })

  it('sets the last evaluation against the first one, set by set', () => {
    const [first, , , last] = paper.evaluations
    const page = renderReport({ title: 'one', runs: [{ ...paper, anchoredSources: ['noise'] }] })
    const [before, after] = [first!, last!].map(({ sources }) => sources.noise!.bits_per_byte!) as [
      number,
      number,
    ]
    expect(cellsOf(page, 'noise')).toEqual([
      before.toFixed(4),
      after.toFixed(4),
      `\u2212${(before - after).toFixed(4)}`,
      `\u2212${((100 * (before - after)) / before).toFixed(1)}\u202f%`,
    ])
    const chart = embeddedCharts(page).find(({ title }) => title === 'Change since step 150')!
    expect(chart.tables[0]!.series.find(({ label }) => label === 'noise')).toMatchObject({ strong: true })
    expect(chart.tables[0]!.series.map(({ values }) => values[0])).toEqual(SOURCES.map(() => 0))
  })

  it('stands a run without steps, evaluations or samples, and a report without runs', () => {
    const empty: ReportRun = { name: 'x', method: 'm', config: {}, steps: [], evaluations: [], summary: {} }
    const page = renderReport({ title: 'empty', runs: [empty] })
    expect(page.includes('No run was evaluated.')).toBe(true)
    expect(cellsOf(page, 'effective data ratio')).toEqual(['n/a'])
    expect(renderReport({ title: 'none', runs: [] }).includes('<h1>none</h1>')).toBe(true)
  })
})
