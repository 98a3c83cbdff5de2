import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Workshop } from '../../run/workshop.test.fixture.js'
import { runCli } from '../run-cli.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
const linesOf = (name: string) =>
  readFileSync(workshop.file(name), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).text as string)

/** A task of one document: the text without its last word, which is to be chosen. */
function putTask(
  name: string,
  texts: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): string {
  const records = texts.map((text) => ({
    begin: text.split(' ').slice(0, -1).join(' '),
    ends: [text.split(' ').at(-1), 'nothing'],
  }))
  writeFileSync(workshop.file(`${name}.jsonl`), records.map((one) => `${JSON.stringify(one)}\n`).join(''))
  const task = {
    ...{ task: name, dataset_path: `${name}.jsonl`, test_split: 'test', output_type: 'multiple_choice' },
    ...{ doc_to_text: 'begin', doc_to_choice: 'ends', doc_to_target: '0', metric_list: [{ metric: 'acc' }] },
    ...more,
  }
  writeFileSync(workshop.file(`${name}.yaml`), JSON.stringify(task))
  return workshop.file(`${name}.yaml`)
}

async function evaluate(...args: string[]) {
  const out = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') => ({ write: (text: string) => (out[name] += text) })
  const io = { stdout: sink('stdout'), stderr: sink('stderr'), env: {} }
  return { exitCode: await runCli(['eval', ...args], io), ...out }
}

describe('tasks beside the data of a run', () => {
  let tasks: string[] = []
  let run = ''
  beforeAll(async () => {
    await workshop.train('first', ['training.max_steps=1', 'evaluation={}'])
    run = workshop.runFolder('first')
    const fresh = 'zwei und drei sind fünf und mehr als das weiß hier wirklich kein Mensch heute'
    tasks = [
      putTask('shares', [linesOf('anchors.jsonl')[3]!, fresh]),
      putTask('seen', [linesOf('code.jsonl')[5]!]),
      putTask('fresh', [fresh]),
      putTask('same-data', [fresh], {
        dataset_kwargs: { data_files: { test: 'same-data.jsonl', train: 'anchors.jsonl' } },
      }),
    ]
  })

  it('are anchored where they share text or data set with the anchors, else unseen', async () => {
    const { exitCode, stdout } = await evaluate('--model', run, '--tasks', tasks.join(','))
    expect(exitCode).toBe(0)
    const mark = (task: string) => new RegExp(`^${task} .* (anchored|unseen) *$`, 'm').exec(stdout)?.[1]
    expect(['shares', 'seen', 'fresh', 'same-data'].map(mark)).toEqual([
      'anchored',
      'unseen',
      'unseen',
      'anchored',
    ])
    for (const average of [
      'macro \\(4 tasks\\)',
      'micro \\(4 tasks\\)',
      'anchored \\(2 tasks\\)',
      'unseen \\(2 tasks\\)',
    ])
      expect(stdout).toMatch(new RegExp(`^${average} `, 'm'))
    expect(stdout).toMatch(/^text shared with anchors .*\nshares +2 +1 \(50.0 %\) +1 \(50.0 %\) +1$/m)
    expect(stdout).toContain('duplicate: ')
    expect(stdout).not.toContain('training data')
  })

  it('are looked for in the training data of the run or config that --against names', async () => {
    for (const against of [run, workshop.file('run.yaml')]) {
      const args = ['--model', path.join(run, 'model'), '--tasks', tasks.join(','), '--against', against]
      const { stdout } = await evaluate(...args, '--json')
      const { anchored, averages, contamination } = JSON.parse(stdout)
      expect(anchored).toEqual({ shares: true, seen: false, fresh: false, 'same-data': true })
      expect(averages.unseen).toMatchObject({ metric: 'acc', tasks: 2, documents: 2 })
      expect(contamination.training).toMatchObject({
        seen: {
          items: 1,
          duplicates: 1,
          examples: [{ kind: 'duplicate', document: expect.stringMatching(/^code.jsonl:\d+$/) }],
        },
        fresh: { items: 1, shared: 0, duplicates: 0 },
      })
    }
  })

  it('stand on a page with the single documents, where --report names a file', async () => {
    const page = workshop.file('tasks.html')
    const args = ['--model', run, '--tasks', tasks.join(',')]
    const shown = await evaluate(...args, '--report', page)
    expect(shown).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('report: ') })
    const text = readFileSync(page, 'utf8')
    expect(text).toContain('shares</strong> <span class="unit">anchored</span>')
    expect(text).toContain('class="answer ')
    expect(text).not.toMatch(/NaN|undefined|<script/)
    expect(await evaluate(...args, '--report', run)).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^error: --report: expected a file, received the folder /),
    })
  })

  it('have no marks where the anchors are gone, which is said, and none of another model', async () => {
    const anchors = readFileSync(workshop.file('anchors.jsonl'))
    writeFileSync(workshop.file('anchors.jsonl'), '{')
    const { exitCode, stdout, stderr } = await evaluate('--model', run, '--tasks', tasks[2]!, '--json')
    writeFileSync(workshop.file('anchors.jsonl'), anchors)
    expect(exitCode).toBe(0)
    expect(stderr).toMatch(/^warning: no task is marked as anchored or unseen: anchors.jsonl:1 /m)
    expect(JSON.parse(stdout)).not.toHaveProperty('anchored')
  })
})
