import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { currentEvents, type RunEvent, readEvents, type TasksEvent } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const BEGINS = 'the model,shapes,weights,sample of,each,examples,while each,data and,reads'.split(',')
const TASK = `dataset_path: asked.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: begin
doc_to_choice: ends
doc_to_target: best
metric_list: [{ metric: acc }, { metric: acc_norm }]
`
beforeAll(() => {
  const ends = ['reads data', 'close to', 'of the text']
  const asked = Array.from({ length: 9 }, (_, i) => ({ begin: BEGINS[i]!, ends, best: i % 3 }))
  writeFileSync(workshop.file('asked.jsonl'), asked.map((one) => `${JSON.stringify(one)}\n`).join(''))
  writeFileSync(workshop.file('words.yaml'), `task: words\n${TASK}`)
  writeFileSync(workshop.file('more.yaml'), `task: more\n${TASK}`)
  writeFileSync(
    workshop.file('both.yaml'),
    'group: both\ntask: [words.yaml, more.yaml]\naggregate_metric_list: [{ metric: acc, weight_by_size: false }]\n',
  )
  writeFileSync(
    workshop.file('written.yaml'),
    'task: written\ndataset_path: asked.jsonl\ntest_split: test\noutput_type: generate_until\ndoc_to_text: begin\n' +
      'doc_to_target: best\ngeneration_kwargs: { max_gen_toks: 4 }\nmetric_list: [{ metric: exact_match }]\n',
  )
})

const STEPS =
  'training={ max_steps: 12, per_device_train_batch_size: 2, learning_rate: 0.02, seed: 1, bf16: false, save_steps: 5'
const SET = [`${STEPS} }`, 'evaluation={ sets: [held-out.jsonl], every_steps: 6 }']
const asking = (more = '') =>
  `evaluation={ sets: [held-out.jsonl], every_steps: 6, tasks: [both.yaml, written.yaml], task_options: { every_steps: 4${more} } }`
const ASKED = [SET[0]!, asking()]

const eventsOf = (name: string): readonly RunEvent[] =>
  currentEvents(readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events)
const tasksOf = (name: string) =>
  eventsOf(name).filter((event): event is TasksEvent => event.type === 'tasks')
const figuresOf = (name: string) => tasksOf(name).map(({ step, figures }) => [step, figures])
const read = (name: string, file: string) => readFileSync(path.join(workshop.runFolder(name), file), 'utf8')
const weights = (name: string, folder = 'model') =>
  readFileSync(path.join(workshop.runFolder(name), folder, 'model.safetensors'))

describe('evaluation.tasks', () => {
  let otherAnswers = ''
  beforeAll(async () => {
    await workshop.train('plain', SET)
    const { outcome, lines } = await workshop.train('asked', ASKED)
    expect(outcome.tasks).toEqual(tasksOf('asked').at(-1))
    expect(lines).toContainEqual(expect.stringMatching(/^step 4: tasks words acc 0\.\d{4} {2}words acc_norm/))
  })

  it('are asked on a cadence of their own, and at the end', () => {
    expect(tasksOf('asked').map(({ step }) => step)).toEqual([0, 4, 8, 12])
    expect(tasksOf('asked')[0]!.figures.map(({ task, metric }) => `${task} ${metric}`)).toEqual([
      ...['words acc', 'words acc_norm', 'more acc', 'more acc_norm', 'written exact_match', 'both acc'],
    ])
    expect(tasksOf('asked')[0]).toMatchObject({ maxLength: 48 })
    const ofTasks = tasksOf('asked')[0]!.figures.filter(({ kind }) => kind === 'task')
    expect(new Set(ofTasks.map(({ anchored }) => typeof anchored))).toEqual(new Set(['boolean']))
    const page = read('asked', 'report.html')
    expect(page).toContain('<section id="tasks">')
    expect(page).toContain('<article class="answer ')
    const steps = eventsOf('asked').flatMap((event) => (event.type === 'evaluation' ? [event.step] : []))
    expect(steps).toEqual([0, 6, 12])
  })

  it('change nothing of the training', () => {
    expect(weights('asked').equals(weights('plain'))).toBe(true)
    for (const file of ['optimizer.safetensors', 'state.json'])
      expect(read('asked', `checkpoints/step-12/${file}`)).toBe(read('plain', `checkpoints/step-12/${file}`))
  })

  it('leave what adapt eval leaves, and nothing to go on from', () => {
    const names = readdirSync(path.join(workshop.runFolder('asked'), 'eval/step-8.tasks')).sort()
    expect(names).toEqual([
      ...['results.json', 'samples_more.jsonl', 'samples_words.jsonl', 'samples_written.jsonl'],
    ])
    const { results, max_length } = JSON.parse(read('asked', 'eval/step-8.tasks/results.json'))
    const acc = tasksOf('asked')[2]!.figures[0]!
    expect([results.words['acc,none'], results.words['acc_stderr,none'], max_length]).toEqual([
      ...[acc.value, acc.error, 48],
    ])
    const samples = read('asked', 'eval/step-8.tasks/samples_words.jsonl').trim().split('\n')
    expect(samples.map((line) => JSON.parse(line).doc.best)).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2])
  })

  it('are what adapt eval says of the same checkpoint', async () => {
    const { evaluateModelTasks } = await import('../open/index.js')
    const { json } = await evaluateModelTasks({
      model: path.join(workshop.runFolder('asked'), 'checkpoints/step-12'),
      tasks: [workshop.file('both.yaml'), workshop.file('written.yaml')],
      device: 'cpu',
    })
    const { results } = JSON.parse(read('asked', 'eval/step-12.tasks/results.json'))
    expect(json.results).toEqual(results)
    expect(json.max_length).toBe(48)
  })

  it.each([1, 4, 6, 8, 11, 12])('are the same after a stop at step %i', async (stopAfterStep) => {
    const name = `stopped-${stopAfterStep}`
    await workshop.train(name, ASKED, { stopAfterStep })
    await workshop.train(name, ASKED)
    expect(figuresOf(name)).toEqual(figuresOf('asked'))
    expect(weights(name).equals(weights('plain'))).toBe(true)
  })

  it('go on where a stop came in the middle of them, with what was answered', async () => {
    const onEvaluation = (_: number, step: number, __: number, task?: { readonly name: string }) => {
      if (step === 4 && task?.name === 'written') process.kill(process.pid, 'SIGTERM')
    }
    await expect(workshop.train('cut', ASKED, { onEvaluation })).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
    expect(tasksOf('cut').map(({ step }) => step)).toEqual([0])
    const kept = read('cut', 'eval/step-4.tasks/responses.jsonl')
    expect(kept.split('\n').length).toBeGreaterThan(3)
    otherAnswers = kept.replaceAll(/"logLikelihood":-[\d.e-]+/g, '"logLikelihood":-1')
    // What stands there is taken for an answer: a false one shows.
    writeFileSync(path.join(workshop.runFolder('cut'), 'eval/step-4.tasks/responses.jsonl'), otherAnswers)
    await workshop.train('cut', ASKED)
    expect(read('cut', 'eval/step-4.tasks/samples_words.jsonl')).toContain('[[-1,')
    expect(figuresOf('cut').slice(2)).toEqual(figuresOf('asked').slice(2))
    expect(existsSync(path.join(workshop.runFolder('cut'), 'eval/step-4.tasks/responses.jsonl'))).toBe(false)
    expect(weights('cut').equals(weights('plain'))).toBe(true)
  })

  it('of other weights are asked anew', async () => {
    const other = [SET[0]!.replace('seed: 1', 'seed: 2'), asking()]
    await workshop.train('again', other, { stopAfterStep: 3 })
    // As if the process had been killed in the middle of step 4 after other steps than these.
    mkdirSync(path.join(workshop.runFolder('again'), 'eval/step-4.tasks'))
    writeFileSync(path.join(workshop.runFolder('again'), 'eval/step-4.tasks/responses.jsonl'), otherAnswers)
    await workshop.train('again', other)
    expect(read('again', 'eval/step-4.tasks/samples_words.jsonl')).not.toContain('[[-1,')
  })
})

describe('the best model by a task', () => {
  const best = (metric: string) => [
    `${STEPS}, load_best_model_at_end: true, metric_for_best_model: ${metric} }`,
    asking(),
  ]

  it('is that of the greatest accuracy, without a word on what is better', async () => {
    const { outcome, lines } = await workshop.train('best', best('tasks/words/acc_norm'))
    const values = tasksOf('best').map(({ step, figures }) => [step, figures[1]!.value] as const)
    const [step, value] = values.reduce((a, b) => (b[1] > a[1] ? b : a))
    expect(outcome.best).toEqual({ step, metric: 'tasks/words/acc_norm', value })
    expect(lines).toContainEqual(
      expect.stringMatching(
        `^best model: step ${step}, tasks/words/acc_norm .* the highest of 4 evaluations`,
      ),
    )
    if (step > 0) expect(weights('best').equals(weights('best', `checkpoints/step-${step}`))).toBe(true)
  })

  it('is asked of a figure that there is', async () => {
    const error = await workshop.failure('metric', best('tasks/words/f1'))
    expect(error).toMatchObject({ code: 'METRIC_NOT_FOUND', exitCode: 2 })
    expect(error.message).toContain('tasks/words/acc, tasks/words/acc_norm')
    expect(error.message).toContain('tasks/both/acc')
    expect(existsSync(workshop.runFolder('metric'))).toBe(false)
  })

  it('ends the run when patience with it is over', async () => {
    const patient = `${STEPS}, early_stopping_patience: 1, metric_for_best_model: tasks/both/acc, greater_is_better: false, early_stopping_threshold: 5 }`
    await workshop.train('patient', [patient, asking()])
    const run = JSON.parse(read('patient', 'run.json'))
    expect(run).toMatchObject({ status: 'finished', total_steps: 12 })
    expect(run.step).toBe(tasksOf('patient').at(-1)!.step)
    expect(run.step).toBeLessThan(12)
  })
})

describe('a task that cannot be asked ends the run before its first step', () => {
  it.each([
    ['nothing.yaml', '', 'FILE_NOT_FOUND'],
    ['wrds', '', 'INVALID_CONFIG'],
    ['written.yaml', 'data.max_length=4', 'WINDOW_TOO_SMALL'],
  ])('%s %s', async (task, more, code) => {
    const set = [SET[0]!, `evaluation={ tasks: [${task}] }`, ...(more === '' ? [] : [more])]
    expect(await workshop.failure('bad', set)).toMatchObject({ code, exitCode: 2 })
    expect(existsSync(workshop.runFolder('bad'))).toBe(false)
  })

  it('a folder of the run that holds its data is refused', async () => {
    await workshop.train('holds', [SET[0]!, 'evaluation={}'])
    const own = path.join(workshop.runFolder('holds'), 'own.yaml')
    writeFileSync(own, `task: own\n${TASK}`)
    const error = await workshop.failure('holds', [SET[0]!, `evaluation={ tasks: [${own}] }`], {
      overwrite: true,
    })
    expect(error).toMatchObject({ code: 'INPUT_IN_OUTPUT', message: expect.stringContaining('own.yaml') })
    expect(existsSync(own)).toBe(true)
  })
})

describe('tasks that stand in the training data', () => {
  const shared = (policy: string) => [
    'training.max_steps=1',
    `evaluation={ tasks: [shares.yaml], task_options: { training_overlap: ${policy} } }`,
  ]
  const overlap = (name: string) =>
    eventsOf(name).filter((one) => one.type === 'alert' && one.code === 'TASK_OVERLAP')

  it('are counted once, refused or not looked for', async () => {
    const [first] = readFileSync(workshop.file('web.jsonl'), 'utf8').split('\n')
    const { text } = JSON.parse(first!) as { text: string }
    const records = [text, 'nothing of this sentence stands in any of the texts that are read'].map(
      (one) => ({
        begin: one.slice(0, one.lastIndexOf(' ')),
        ends: [one.slice(one.lastIndexOf(' ') + 1), 'nothing'],
        best: 0,
      }),
    )
    writeFileSync(workshop.file('shares.jsonl'), records.map((one) => `${JSON.stringify(one)}\n`).join(''))
    writeFileSync(
      workshop.file('shares.yaml'),
      `task: shares\n${TASK.replace('asked.jsonl', 'shares.jsonl')}`,
    )
    const { lines } = await workshop.train('warned', shared('warn'))
    const told = lines.filter((line) => line.includes('share text with the training data'))
    expect(told).toEqual([
      expect.stringMatching(/shares 1 of 2 \(first: \S*shares\.jsonl:1 in \S*web\.jsonl:1\)$/),
    ])
    expect(overlap('warned')).toHaveLength(1)
    const provenance = JSON.parse(read('warned', 'provenance.json'))
    expect(provenance.task_overlap).toMatchObject([{ group: 'shares', items: 2, shared: 1, duplicates: 1 }])
    const error = await workshop.failure('refused', shared('refuse'))
    expect(error).toMatchObject({ code: 'TASK_OVERLAP', exitCode: 2 })
    expect(error.message).toContain('training_overlap=warn')
    expect(existsSync(workshop.runFolder('refused'))).toBe(false)
    // A pass over the data is made once: what was found is kept beside the tokens.
    const [kept] = readdirSync(workshop.file('cache/task-overlap'))
    const file = path.join(workshop.file('cache/task-overlap'), kept!)
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/"(shared|duplicates)":1/g, '"$1":0'))
    await workshop.train('kept-counts', shared('refuse'))
    expect(overlap('kept-counts')).toEqual([])
    rmSync(workshop.file('cache/task-overlap'), { recursive: true })
    await workshop.train('ignored', shared('ignore'))
    expect(overlap('ignored')).toEqual([])
    expect(existsSync(workshop.file('cache/task-overlap'))).toBe(false)
  })
})

describe('estimateRunTasks', () => {
  it('counts requests, positions and evaluations, and fetches nothing', async () => {
    const { loadConfig } = await import('../config/index.js')
    const { estimateRunTasks } = await import('../open/index.js')
    await workshop.train('estimated', [SET[0]!, 'evaluation={}'])
    const config = (tasks: string) =>
      loadConfig(workshop.file('run.yaml'), {
        set: [SET[0]!, `evaluation={ tasks: [${tasks}], task_options: { every_steps: 4 } }`],
      })
    const { config: words, baseDir } = await config('words.yaml')
    const found = await estimateRunTasks(words, baseDir, { params: 10, totalSteps: 12 })
    expect(found).toMatchObject({ requests: 27, evaluations: 4, absent: [] })
    expect(found!.flops).toBe(4 * 2 * 10 * found!.positions)
    // Context once for its choices: less than each with a context of its own.
    expect(found!.positions * 4).toBeLessThan(found!.bytes)
    writeFileSync(workshop.file('away.yaml'), `task: away\n${TASK.replace('asked.jsonl', 'nobody/has-this')}`)
    const { config: away } = await config('away.yaml')
    expect(await estimateRunTasks(away, baseDir, { params: 10, totalSteps: undefined })).toMatchObject({
      ...{ requests: 0, evaluations: 1, absent: ['away'] },
    })
  })
})

describe('max_time_share', () => {
  it('leaves out what would take more, says so, and asks at the end', async () => {
    const { lines } = await workshop.train('short', [SET[0]!, asking(', max_time_share: 1.0e-9')])
    expect(tasksOf('short').map(({ step }) => step)).toEqual([12])
    const skipped = eventsOf('short').filter((one) => one.type === 'alert' && one.code === 'TASKS_SKIPPED')
    expect(skipped.map(({ step }) => step)).toEqual([0, 4, 8])
    expect(lines.filter((line) => line.startsWith('tasks are left out'))).toHaveLength(1)
    expect(lines).toContainEqual(expect.stringMatching(/^tasks took .* more than max_time_share/))
  })

  it('is not decided anew where the run goes on', async () => {
    await workshop.train('kept', [SET[0]!, asking(', max_time_share: 1.0e-9')], { stopAfterStep: 8 })
    await workshop.train('kept', [SET[0]!, asking(', max_time_share: 1')])
    expect(tasksOf('kept').map(({ step }) => step)).toEqual([8, 12])
  })
})
