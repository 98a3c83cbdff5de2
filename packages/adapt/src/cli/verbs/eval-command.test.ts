import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fill_, noGrad } from '@adapt-ts/torch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveModelFolder } from '../../model/index.js'
import { createTinyLlama } from '../../model/tiny-llama.test.fixture.js'
import { readEvents } from '../../record/index.js'
import { Workshop } from '../../run/workshop.test.fixture.js'
import { writeTinyTokenizer } from '../../tokenize/tiny-tokenizer.test.fixture.js'
import { runCli } from '../run-cli.js'

const workshop = new Workshop()
const model = () => path.join(workshop.runFolder('first'), 'model')
const put = (name: string, ...records: unknown[]) => {
  const file = workshop.file(name)
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  return file
}
let lines: string[] = []
beforeAll(async () => {
  const half = put('half-empty.jsonl', { text: '', source: 'hollow' }, { text: 'the data', source: 'full' })
  lines = (await workshop.train('first', ['training.max_steps=2', `evaluation.sets=[${half}]`])).lines
})
afterAll(() => workshop[Symbol.dispose]())

async function evaluate(...args: string[]) {
  const out = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') => ({ write: (text: string) => (out[name] += text) })
  const io = { stdout: sink('stdout'), stderr: sink('stderr'), env: {} }
  return { exitCode: await runCli(['eval', ...args], io), ...out }
}

describe('adapt eval on texts in which nothing is predicted', () => {
  it('says so and exits with 3 when no text has a token', async () => {
    const empty = put('empty-texts.jsonl', { text: '' }, { text: '' })
    for (const more of [[], ['--json']]) {
      const { exitCode, stdout, stderr } = await evaluate('--model', model(), '--text', empty, ...more)
      expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: '' })
      expect(stderr).toMatch(/error: \S+empty-texts.jsonl: expected text to predict, received 2 documents/)
    }
  })

  it('shows a source without a token as - and null, names it, and measures the others', async () => {
    const args = ['--model', model(), '--text', workshop.file('half-empty.jsonl')]
    const table = await evaluate(...args)
    expect(table.exitCode).toBe(0)
    expect(table.stdout).toMatch(/^hollow +- +- +0 +0 +1$/m)
    expect(table.stderr).toContain('warning: nothing to predict in the 1 documents of "hollow", shown as -')
    const { sources, all } = JSON.parse((await evaluate(...args, '--json')).stdout)
    expect(sources.hollow).toEqual({
      bits_per_byte: null,
      nats_per_token: null,
      bytes: 0,
      tokens: 0,
      documents: 1,
    })
    expect(all.bits_per_byte).toBe(sources.full.bits_per_byte)
  })

  it('is said once in a run too, whose files and lines hold no NaN', () => {
    const folder = workshop.runFolder('first')
    expect(lines.join('\n')).not.toContain('NaN')
    expect(lines.filter((line) => line.includes('nothing to predict'))).toEqual([
      'warning: evaluation.sets: nothing to predict in the 1 documents of "hollow", which has no figures',
    ])
    expect(
      JSON.parse(readFileSync(path.join(folder, 'eval/step-2.json'), 'utf8')).sources.hollow.bits_per_byte,
    ).toBeNull()
    const { events } = readEvents(path.join(folder, 'events.jsonl'))
    const evaluation = events.find(({ type }) => type === 'evaluation')
    expect(evaluation).toMatchObject({ sources: { hollow: { bits_per_byte: null } } })
    expect(readFileSync(path.join(folder, 'report.html'), 'utf8')).not.toContain('>NaN<')
  })

  it('exits with 4 for a model that gives no numbers', async () => {
    const folder = workshop.file('broken')
    using broken = createTinyLlama({ vocabSize: workshop.vocabSize, maxPositionEmbeddings: 64 })
    noGrad(() => fill_(broken.parameters()[0]!, Number.NaN))
    saveModelFolder(broken, folder, { tokenizerFolder: workshop.file('tokenizer') })
    const { exitCode, stderr } = await evaluate(
      '--model',
      folder,
      '--text',
      workshop.file('half-empty.jsonl'),
    )
    expect({ exitCode, stderr }).toEqual({
      exitCode: 4,
      stderr: expect.stringContaining('expected finite losses on'),
    })
  })
})

describe('the window of adapt eval', () => {
  it('is max_length of the run that a model, a checkpoint or the run itself leads to, and is printed', async () => {
    const run = workshop.runFolder('first')
    for (const place of [run, model(), path.join(run, 'checkpoints/step-2')]) {
      const { stderr, stdout } = await evaluate(
        '--model',
        place,
        '--text',
        workshop.file('held-out.jsonl'),
        '--json',
      )
      expect(stderr).toMatch(/^device cpu [^\n]*\nwindow 48 tokens \(data.max_length of \S*first\)\n$/)
      expect(JSON.parse(stdout).max_length).toBe(48)
    }
  })

  it('is what --max-length says, cut to the positions of the model', async () => {
    const args = ['--model', model(), '--text', workshop.file('held-out.jsonl')]
    const window = async (length: string) =>
      (await evaluate(...args, '--max-length', length, '--device', 'cpu')).stderr
    const device = 'device cpu (--device: cpu)'
    expect(await window('8')).toBe(`${device}\nwindow 8 tokens (--max-length)\n`)
    expect(await window('999')).toBe(`${device}\nwindow 64 tokens (all positions of the model)\n`)
  })
})

describe('--tokenizer of adapt eval', () => {
  it('takes the place of the tokenizer in the model folder', async () => {
    const bare = workshop.file('bare')
    using tiny = createTinyLlama({ vocabSize: workshop.vocabSize, maxPositionEmbeddings: 64 })
    mkdirSync(bare)
    saveModelFolder(tiny, bare)
    const args = ['--model', bare, '--text', workshop.file('held-out.jsonl')]
    expect((await evaluate(...args)).exitCode).toBe(2)
    const tokenizer = writeTinyTokenizer(workshop.file('elsewhere'))
    expect((await evaluate(...args, '--tokenizer', tokenizer)).exitCode).toBe(0)
  })
})
