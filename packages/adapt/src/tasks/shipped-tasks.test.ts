import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findTasks, listTasks, type Task } from './index.js'
import { prepareTask, requireGold, type TaskItem } from './prepare-task.js'

const SHIPPED = fileURLToPath(new URL('../../tasks', import.meta.url))

/** What a task makes of a record with the fields of its data set: what is asked, and the place of the right choice. */
interface Case {
  readonly document: object
  readonly asked: readonly (readonly [context: string, ...continuations: string[]])[]
  readonly right: number | string
}

const ARC: Case = {
  document: {
    question: 'What gives light?',
    choices: { text: ['a "mirror"', "the Sun's core"], label: ['1', '2'] },
    answerKey: '2',
  },
  asked: [['Question: What gives light?\nAnswer:', ' a "mirror"', " the Sun's core"]],
  right: 1,
}

const CASES: Readonly<Record<string, Case>> = {
  arc_easy: ARC,
  arc_challenge: ARC,
  hellaswag: {
    document: {
      activity_label: 'Home',
      ctx_a: '[header] How to bake [title] Mix  it. [step] Use milk.',
      ctx_b: 'the COOK',
      endings: [' stirs [title] waits.\n', 'says "é". [substeps]', "isn't <there>", 'C'],
      label: '2',
    },
    asked: [
      [
        'Home: How to bake. Mix it. Use milk. The cook',
        ' stirs. waits.',
        ' says "é". ',
        " isn't <there>",
        ' C',
      ],
    ],
    right: 2,
  },
  piqa: {
    document: { goal: 'open a jar', sol1: 'turn the lid', sol2: "don't", label: 0 },
    asked: [['Question: open a jar\nAnswer:', ' turn the lid', " don't"]],
    right: 0,
  },
  openbookqa: {
    document: {
      question_stem: 'Fish breathe with',
      choices: { text: ['lungs', 'gills'], label: ['A', 'B'] },
      answerKey: ' B',
    },
    asked: [['Fish breathe with', ' lungs', ' gills']],
    right: 1,
  },
  winogrande: {
    document: {
      sentence: 'Ann thanked Eve, for _ had helped_out.',
      option1: 'Ann',
      option2: 'Eve',
      answer: '2',
    },
    asked: [
      ['Ann thanked Eve, for Ann', ' had helped_out.'],
      ['Ann thanked Eve, for Eve', ' had helped_out.'],
    ],
    right: 1,
  },
  boolq: {
    document: { passage: 'Ice is cold.', question: 'is ice warm', label: 0 },
    asked: [['Ice is cold.\nQuestion: is ice warm?\nAnswer:', ' no', ' yes']],
    right: 0,
  },
  sciq: {
    document: {
      question: 'What is H2O?',
      distractor1: 'salt',
      distractor2: 'gold',
      distractor3: 'air',
      correct_answer: 'water',
      support: ' Rain is H2O.',
    },
    asked: [['Rain is H2O.\nQuestion: What is H2O?\nAnswer:', ' salt', ' gold', ' air', ' water']],
    right: 3,
  },
  lambada_openai: {
    document: { text: 'He looked  at the\ndoor and went through the door' },
    asked: [['He looked  at the\ndoor and went through the', ' door']],
    right: ' door',
  },
  logiqa: {
    document: { context: 'All cats sleep.', question: 'What follows?', options: ['P', 'Q'], label: 'b\n' },
    asked: [['Passage: All cats sleep.\nQuestion: What follows?\nChoices:\nA. P\nB. Q\nAnswer:', ' P', ' Q']],
    right: 1,
  },
  race_high: {
    document: { article: 'It rains.', question: 'It is _ .', options: ['dry', 'wet'], answer: 'B' },
    asked: [['Article: It rains.\n\nQuestion: It is _ .\nAnswer:', ' dry', ' wet']],
    right: 1,
  },
  social_iqa: {
    document: {
      context: 'Lee lost a key.',
      question: 'What now?',
      answerA: 'sleep',
      answerB: 'look',
      answerC: 'sing',
      label: '2\n',
    },
    asked: [['Q: Lee lost a key. What now?\nA:', ' sleep', ' look', ' sing']],
    right: 1,
  },
  copa: {
    document: {
      premise: 'He woke. ',
      choice1: 'IT was day.',
      choice2: 'Éric sang.',
      question: 'cause',
      label: 1,
    },
    asked: [['He woke because', '  iT was day.', '  éric sang.']],
    right: 1,
  },
  multirc_corrected: {
    document: { paragraph: 'Tom ate.', question: 'Who ate?', answer: "It's Tom", label: 1 },
    asked: [
      [
        'Tom ate.\nQuestion: Who ate?\nAnswer:',
        " It's Tom\nIs the answer correct? no",
        " It's Tom\nIs the answer correct? yes",
      ],
    ],
    right: 1,
  },
  qqp: {
    document: { question1: 'How?', question2: 'Why?', label: 0 },
    asked: [
      [
        'Question 1: How?\nQuestion 2: Why?\nQuestion: Do both questions ask the same thing?\nAnswer:',
        ' no',
        ' yes',
      ],
    ],
    right: 0,
  },
  commonsense_qa: {
    document: {
      question: ' Who heals?',
      choices: { text: ['cook', 'thief', 'doctor', 'king', 'cat'], label: ['A', 'B', 'C', 'D', 'E'] },
      answerKey: 'C',
    },
    asked: [
      [
        'Question: Who heals?\nA. cook\nB. thief\nC. doctor\nD. king\nE. cat\nAnswer:',
        ' A',
        ' B',
        ' C',
        ' D',
        ' E',
      ],
    ],
    right: 2,
  },
  gsm8k: {
    document: { question: 'Half of 8?', answer: '8/2=4\n#### 4' },
    asked: [['Question: Half of 8?\nAnswer:']],
    right: '8/2=4\n#### 4',
  },
  wikitext_2: {
    document: { page: ' = A = \n A well @-@ known film , made ( in 2000 ) : " it \'s " 3 @.@ 5 ° N . \n' },
    asked: [[' = A =\nA well-known film, made (in 2000): "it\'s" 3.5°N.\n']],
    right: ' = A =\nA well-known film, made (in 2000): "it\'s" 3.5°N.\n',
  },
  mmlu: {
    document: {
      question: ' Which sees? ',
      subject: 'human_aging',
      choices: ['ear', 'eye', 'rib', 'jaw'],
      answer: 1,
    },
    asked: [
      [
        'The following are multiple choice questions (with answers) about human aging.\n\nWhich sees?\nA. ear\nB. eye\nC. rib\nD. jaw\nAnswer:',
        ' A',
        ' B',
        ' C',
        ' D',
      ],
    ],
    right: 1,
  },
  blimp: {
    document: { sentence_good: 'He leaves.', sentence_bad: 'He leave.' },
    asked: [['', ' He leaves.', ' He leave.']],
    right: 0,
  },
  bbh_direct: {
    document: { input: 'Close: [ ( )', target: '[ ]' },
    asked: [['Q: Close: [ ( )\nA:']],
    right: '[ ]',
  },
}

describe('the tasks of the package', () => {
  let folder: string
  let tasks: readonly Task[]
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'adapt-tasks-'))
    tasks = (await findTasks(['*'])).tasks
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const familyOf = (name: string): string => /^(mmlu|blimp|bbh_direct)_/.exec(name)?.[1] ?? name

  async function prepare(task: Task, documents: readonly object[], numFewShot: number): Promise<TaskItem[]> {
    const path = join(folder, `${task.name}.jsonl`)
    writeFileSync(path, documents.map((document) => `${JSON.stringify(document)}\n`).join(''))
    const config = { ...task.config, dataset_path: path, dataset_name: null }
    const { items } = await prepareTask({ ...task, config }, { numFewShot })
    return [...items]
  }

  test('every file is read, and every task is of a data set by its id', async () => {
    const files = readdirSync(SHIPPED, { recursive: true, encoding: 'utf8' })
      .filter((name) => /(^|\/)[^_/][^/]*\.yaml$/.test(name))
      .map((name) => join(SHIPPED, name))
    const listed = await listTasks()
    expect([...new Set(listed.map(({ file }) => file))].sort()).toEqual(files.sort())
    for (const { config } of tasks) expect(config.dataset_path).toMatch(/^[\w.-]+\/[\w.-]+$/)
  })

  test('groups hold what they are named for', async () => {
    const { groups } = await findTasks(['pretraining', 'mmlu', 'blimp', 'bbh_direct'])
    const sizes = Object.fromEntries(groups.map((group) => [group.name, group.tasks.length]))
    expect(sizes).toEqual({
      pretraining: 15,
      mmlu_stem: 19,
      mmlu_humanities: 13,
      mmlu_social_sciences: 12,
      mmlu_other: 13,
      mmlu: 57,
      blimp: 67,
      bbh_direct: 27,
    })
    for (const { tasks: names, aggregates } of groups) {
      for (const { config } of names.map((name) => tasks.find((task) => task.name === name)!)) {
        const filters = config.filter_list?.map(({ name }) => name) ?? ['none']
        for (const { metric, filter_list: filter = 'none' } of aggregates) {
          expect(config.metric_list!.map((one) => one.metric)).toContain(metric)
          expect(filters).toContain(filter)
        }
      }
    }
  })

  test.each(Object.entries(CASES))('%s asks what its benchmark asks', async (family, {
    document,
    asked,
    right,
  }) => {
    const task = tasks.find(({ name }) => familyOf(name) === family)!
    const [item] = await prepare({ ...task, config: { ...task.config, num_fewshot: 0 } }, [document], 0)
    const said = family === 'bbh_direct' ? `${task.config.description}` : ''
    const expected = asked.flatMap(([context, ...continuations]) =>
      continuations.length === 0 ? [[said + context]] : continuations.map((one) => [context, one]),
    )
    const found = item!.requests.map((request) => {
      if (request.kind === 'loglikelihood') return [request.context, request.continuation]
      return [request.kind === 'generate_until' ? request.context : request.text]
    })
    expect(found).toEqual(expected)
    expect(item!.gold ?? item!.answer).toEqual(item!.gold === undefined ? right : [right])
  })

  test('every task can be asked with two examples', async () => {
    for (const task of tasks) {
      const { document } = CASES[familyOf(task.name)]!
      const documents = [0, 1, 2].map((id) => ({ ...document, id }))
      const items = await prepare(task, documents, 2)
      expect(items.length).toBe(3)
      for (const item of items) requireGold(item, task)
    }
  })

  test('a table of Parquet may have columns that no record of training has', async () => {
    const path = join(folder, 'table.parquet')
    const columnData = [
      { name: 'goal', data: ['open a jar'], type: 'STRING' as const },
      { name: 'sol1', data: ['turn the lid'], type: 'STRING' as const },
      { name: 'sol2', data: ["don't"], type: 'STRING' as const },
      { name: 'label', data: [1n], type: 'INT64' as const },
    ]
    writeFileSync(path, new Uint8Array(parquetWriteBuffer({ columnData })))
    const task = tasks.find(({ name }) => name === 'piqa')!
    const { items } = await prepareTask({ ...task, config: { ...task.config, dataset_path: path } })
    expect(items.map(({ gold, choices }) => [gold, choices])).toEqual([[[1], ['turn the lid', "don't"]]])
  })

  test('of the answer of gsm8k the last number counts, without commas', async () => {
    const { metricsOf } = await import('./metrics.js')
    const { filtersOf } = await import('./filter-answers.js')
    const task = tasks.find(({ name }) => name === 'gsm8k')!
    const [item] = await prepare(task, Array(6).fill({ question: 'x', answer: 'a\n#### 2,000' }), 0)
    const [metric] = metricsOf('generate_until', task.config.metric_list, '')
    const scores = (text: string) =>
      filtersOf('generate_until', task.config.filter_list, '').map(({ name, apply }) => [
        name,
        metric!.compute(item!, [{ text: apply(text, item!.document) }]),
      ])
    expect(scores('So it is\n#### 2000')).toEqual([
      ['strict-match', 1],
      ['flexible-extract', 1],
    ])
    expect(scores('1000 twice are $2,000.')).toEqual([
      ['strict-match', 0],
      ['flexible-extract', 1],
    ])
  })
})
