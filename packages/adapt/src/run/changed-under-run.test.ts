import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readEvents } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const inRun = (name: string, ...parts: string[]) => path.join(workshop.runFolder(name), ...parts)
const alertsOf = (name: string, code: string) =>
  readEvents(inRun(name, 'events.jsonl')).events.flatMap((event) =>
    event.type === 'alert' && event.code === code ? [event.message] : [],
  )

describe('a tokenizer that changes under a run', () => {
  const cases: readonly [string, (folder: string) => void, RegExp][] = [
    ['is removed', (folder) => rmSync(folder, { recursive: true }), /tokenizer\.json is gone/],
    ['loses a file', (folder) => rmSync(path.join(folder, 'tokenizer_config.json')), /config\.json is gone/],
    [
      'is replaced',
      (folder) => writeFileSync(path.join(folder, 'tokenizer.json'), '{}'),
      /tokenizer\.json changed/,
    ],
    [
      'gets a template',
      (folder) => writeFileSync(path.join(folder, 'chat_template.jinja'), 'x'),
      /jinja is new/,
    ],
  ]
  it.each(
    cases,
  )('and %s is named, and the model is published with the one it was trained with', async (title, change, said) => {
    const [folder, name] = [workshop.file(`tokenizer that ${title}`), `tokenizer ${title}`]
    cpSync(workshop.file('tokenizer'), folder, { recursive: true })
    const { lines } = await workshop.train(name, [`tokenizer=${folder}`, 'training.save_steps=10'], {
      onStep: ({ step }) => {
        if (step === 5) change(folder)
      },
    })
    expect(alertsOf(name, 'TOKENIZER_CHANGED')).toEqual([expect.stringMatching(said)])
    expect(lines.filter((line) => line.startsWith('warning: ') && said.test(line))).toHaveLength(1)
    for (const place of ['model', 'checkpoints/step-20', 'tokenizer'])
      for (const file of readdirSync(workshop.file('tokenizer')))
        expect(readFileSync(inRun(name, place, file))).toEqual(
          readFileSync(path.join(workshop.file('tokenizer'), file)),
        )
    expect(readdirSync(inRun(name, 'model'))).not.toContain('chat_template.jinja')
  })

  it('does not come into the model from the run folder either', async () => {
    await workshop.train('meddled', ['training.save_steps=10'], {
      onStep: ({ step }) => {
        if (step === 15) writeFileSync(inRun('meddled', 'tokenizer', 'tokenizer.json'), '{}')
      },
    })
    expect(readFileSync(inRun('meddled', 'model', 'tokenizer.json'))).toEqual(
      readFileSync(path.join(workshop.file('tokenizer'), 'tokenizer.json')),
    )
  })
})

describe('a run that goes on without some of its records', () => {
  const log = (name: string) => inRun(name, 'events.jsonl')
  const withoutSteps = (name: string, steps: readonly number[]) => {
    const lines = readFileSync(log(name), 'utf8').split('\n')
    const isGone = (line: string) => steps.some((step) => line.startsWith(`{"type":"step","step":${step},`))
    writeFileSync(log(name), lines.filter((line) => !isGone(line)).join('\n'))
  }
  const firstPart = (name: string) =>
    path.join(inRun(name, 'ledger'), readdirSync(inRun(name, 'ledger')).sort()[0]!)

  const cases: readonly [string, (name: string) => void, RegExp[]][] = [
    [
      'lines of the log',
      (name) => withoutSteps(name, [2, 3, 9]),
      [/events\.jsonl lacks .* steps 2 to 3, 9:/],
    ],
    [
      'the last lines of the log',
      (name) => withoutSteps(name, [11, 12]),
      [/events\.jsonl lacks .* steps 11 to 12:/],
    ],
    ['the log', (name) => rmSync(log(name)), [/events\.jsonl lacks .* steps 1 to 12:/]],
    ['a part of the ledger', (name) => rmSync(firstPart(name)), [/ledger lacks .* steps 1 to 5:/]],
    [
      'the ledger',
      (name) => rmSync(inRun(name, 'ledger'), { recursive: true }),
      [/ledger lacks .* steps 1 to 12:/],
    ],
    [
      'both',
      (name) => {
        withoutSteps(name, [1])
        renameSync(inRun(name, 'ledger'), inRun(name, 'elsewhere'))
      },
      [/events\.jsonl lacks .* steps 1:/, /ledger lacks/],
    ],
    ['nothing', () => {}, []],
  ]
  it.each(cases)('says that %s went missing, and goes on', async (title, damage, said) => {
    const name = `records ${title}`
    const set = ['training.save_steps=5', 'evaluation={}']
    await workshop.train(name, set, { stopAfterStep: 12 })
    damage(name)
    const { outcome } = await workshop.train(name, set)
    const messages = alertsOf(name, 'RECORDS_MISSING')
    expect(messages).toHaveLength(said.length)
    for (const [i, pattern] of said.entries()) expect(messages[i]).toMatch(pattern)
    expect(outcome.steps.at(-1)!.step).toBe(30)
  })

  it('misses nothing of the steps before it began at the checkpoint of another run', async () => {
    const set = ['training.save_steps=5', 'evaluation={}']
    await workshop.train('trunk', set, { stopAfterStep: 10 })
    const from = `training.resume_from_checkpoint=${inRun('trunk', 'checkpoints', 'step-10')}`
    await workshop.train('branch', [...set, from], { stopAfterStep: 17 })
    await workshop.train('branch', [...set, from])
    expect(alertsOf('branch', 'RECORDS_MISSING')).toEqual([])
  })
})
