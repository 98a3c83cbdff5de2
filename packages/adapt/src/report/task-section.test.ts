import { describe, expect, it } from 'vitest'
import type { TaskFigure } from '../record/index.js'
import type { ChartSpec } from './chart-spec.js'
import { html } from './html.js'
import type { TaskAnswer } from './report-tasks.js'
import { renderTaskPage } from './task-page.js'
import { renderTaskSection, type TaskRun } from './task-section.js'

const EVIL = '<img src=x onerror=alert(1)>'
const figure = (task: string, value: number, more: Partial<TaskFigure> = {}): TaskFigure => ({
  ...{ task, kind: 'task', alias: task, documents: 400, numFewShot: 0, metric: 'acc', filter: 'none', value },
  ...{ error: 0.02, higherIsBetter: true, ...more },
})
const answer = (isRight: boolean, more: Partial<TaskAnswer> = {}): TaskAnswer => ({
  ...{ task: 'arc', document: 3, isRight, prompt: `Which? ${EVIL}` },
  choices: [
    { text: EVIL, logLikelihood: -2.5, isTarget: false },
    { text: 'no', logLikelihood: -7, isTarget: true },
  ],
  ...more,
})
const run = (name: string, shift: number, more: Partial<TaskRun> = {}): TaskRun => ({
  name,
  tasks: [0, 10, 20].map((step) => ({
    step,
    figures: [
      figure('arc', 0.3 + shift + step / 100, { anchored: true }),
      figure('piqa', 0.5 + step / 200, { anchored: false }),
      figure('text', 30 - step, {
        metric: 'word_perplexity',
        error: null,
        higherIsBetter: false,
        anchored: false,
      }),
      figure('all', 0.4, { kind: 'group' }),
    ],
  })),
  answers: [answer(false), answer(true, { document: 4 })],
  ...more,
})
function render(...runs: TaskRun[]) {
  const specs: ChartSpec[] = []
  const page = renderTaskSection(runs, (some) => {
    specs.push(...some)
    return html``
  }).markup
  return { page, specs }
}

describe('the section of benchmark tasks', () => {
  it('shows anchored tasks, unseen ones and averages with their intervals, within what a share can be', () => {
    const { page } = render(run('one', 0))
    const chart = page.slice(page.indexOf('<figure'), page.indexOf('</figure>'))
    const names = [...chart.matchAll(/class="name" title="([^"]*)"/g)].map(([, name]) => name)
    expect(names).toEqual([
      ...['anchored:', 'arc', 'unseen:', 'piqa'],
      ...['averages:', 'macro', 'micro', 'anchored', 'unseen'],
    ])
    expect(chart.match(/class="interval/g)).toHaveLength(6)
    expect(chart).not.toContain('\u2212')
    expect(page).toMatch(/<strong>arc<\/strong> <span class="unit">anchored<\/span>/)
    expect(page).toMatch(/piqa <span class="unit">unseen<\/span>/)
    expect(page).toMatch(/all <span class="unit">group<\/span>/)
    // 30 at the first evaluation, 10 at the last: fewer are better.
    expect(page).toMatch(/word_perplexity<\/td><td>10<\/td><td class="diff good">\u221220/)
  })

  it('draws each run over its steps, with the averages of both kinds', () => {
    const { specs } = render(run('one', 0), run('two', 0.1))
    expect(specs.map(({ title }) => title)).toEqual(['Tasks over the run: one', 'Tasks over the run: two'])
    const [{ steps, series }] = specs[1]!.tables as [ChartSpec['tables'][number]]
    expect(steps).toEqual([0, 10, 20])
    expect(specs[0]!.yRange).toEqual(specs[1]!.yRange)
    expect(series.map(({ label }) => label)).toEqual(['arc', 'piqa', 'anchored average', 'unseen average'])
    expect(series[0]!.values).toEqual([0.4, 0.5, 0.6])
    expect(render(run('one', 0, { tasks: run('one', 0).tasks.slice(0, 1) })).specs).toEqual([])
  })

  it('shows what the model preferred and what is right, all of it as text, and lets either kind be hidden', () => {
    const { page } = render(run(EVIL, 0))
    expect(page).not.toContain('<img')
    expect(page).toContain('<tr class="preferred"><td class="sign">\u25b8</td><td class="what">&lt;img')
    expect(page).toContain('<td class="sign">\u2713</td><td class="what">no</td>')
    expect(page.match(/<article class="answer right">/g)).toHaveLength(1)
    expect(page).toContain('id="answers-wrong"')
    const written = run('one', 0, { answers: [answer(false, { choices: [], written: 'so', target: EVIL })] })
    expect(render(written).page).toMatch(
      /\u25b8<\/td><td class="what">so<.*\u2713<\/td><td class="what">&lt;img/,
    )
  })

  it('shows the end of a long prompt, and how much stands before it', () => {
    const prompt = `${'x'.repeat(5000)}the question`
    const { page } = render(run('one', 0, { answers: [answer(true, { prompt })] }))
    expect(page).toContain('the question</div>')
    expect(page).toContain('4112 characters before')
  })

  it.each([0, 1, Number.NaN])('is drawn where all values are %d and nothing has an error', (value) => {
    const tasks = [
      { step: 1, figures: [figure('arc', value, { error: null }), figure('piqa', value, { error: null })] },
    ]
    expect(render(run('one', 0, { tasks, answers: [] })).page).toContain('<figure class="dots')
  })

  it('is empty without tasks, and marks nothing where no anchors are known', () => {
    expect(render({ name: 'one', tasks: [], answers: [] }).page).toBe('')
    const unknown = run('one', 0).tasks.map(({ step, figures }) => ({
      step,
      figures: figures.map(({ anchored: _, ...rest }) => rest),
    }))
    expect(render(run('one', 0, { tasks: unknown })).page).not.toMatch(/anchored|unseen/)
  })

  it('stands on a page of its own for one evaluation, with what the tasks share with data', () => {
    const page = renderTaskPage({
      ...{ model: EVIL, facts: [['window', EVIL]], figures: run('one', 0).tasks[0]!.figures },
      answers: [answer(true)],
      overlaps: [
        {
          data: 'the anchors',
          counts: [
            {
              ...{ group: EVIL, items: 4, comparable: 4, shared: 1, duplicates: 0, documents: 1 },
              examples: [{ kind: 'shared words', item: 'a:1', document: EVIL, text: EVIL }],
            },
          ],
        },
      ],
    })
    expect(page).not.toMatch(/<img|<script|NaN|undefined/)
    expect(page).toContain('<section id="contamination">')
    expect(page).toContain('>value</th>')
  })
})
