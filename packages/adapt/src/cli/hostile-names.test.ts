import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Workshop } from '../run/workshop.test.fixture.js'
import { runCli } from './run-cli.js'

// A title, a bell, a cleared line, a C1 sequence, reordered and hidden text, and a forged line.
const EVIL = '\u001b]0;owned\u0007\rweb\u001b[2K\u009b31m\u202egnp.exe\u2066\u200b\nerror: forged'
const EVIL_FILE = EVIL.replaceAll('/', '')
const workshop = new Workshop()
const folder = () => workshop.file(`evil-${EVIL_FILE}`)
const config = () => path.join(folder(), 'run.yaml')
const run = () => path.join(folder(), 'run')

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: control characters are what they look for.
/** What this program itself sends to a terminal. */
const OWN = /\r(?=[^\r\n]*\u001b\[K)|\u001b\[K|\u001b\[3[29]m/g
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: control characters are what they look for.

async function adapt(isTTY: boolean, ...args: string[]) {
  const out = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') => ({ isTTY, write: (text: string) => (out[name] += text) })
  const exitCode = await runCli(args, { stdout: sink('stdout'), stderr: sink('stderr'), env: {} })
  return { exitCode, ...out, all: `${out.stdout}${out.stderr}` }
}

const withoutOwn = (text: string) => text.replace(OWN, '')

beforeAll(async () => {
  mkdirSync(folder())
  const lines = (count: number, text: string) =>
    Array.from(
      { length: count },
      (_, i) => `${JSON.stringify({ text: `${text} ${i}`, source: EVIL, id: `${i}${EVIL}` })}\n`,
    )
  writeFileSync(path.join(folder(), `train-${EVIL_FILE}.jsonl`), lines(20, `the data ${EVIL}`).join(''))
  writeFileSync(path.join(folder(), `held-${EVIL_FILE}.jsonl`), lines(3, 'the model').join(''))
  writeFileSync(path.join(folder(), `anchors-${EVIL_FILE}.jsonl`), lines(4, `the user ${EVIL}`).join(''))
  await workshop.train('template', ['training.max_steps=1'])
  const text = readFileSync(workshop.file('run.yaml'), 'utf8')
  writeFileSync(
    config(),
    text
      .replace('tokenizer: tokenizer', `tokenizer: ${workshop.file('tokenizer')}`)
      .replace('[web.jsonl, code.jsonl]', `[ 'train-*.jsonl' ]`)
      .replace('[anchors.jsonl]', `[ 'anchors-*.jsonl' ]`)
      .replace('[held-out.jsonl], every_steps: 10', `[ 'held-*.jsonl' ], every_steps: 1`)
      .replace('max_steps: 30', 'max_steps: 2')
      .replace(/output_dir: .*/, `output_dir: ${JSON.stringify(run())}`)
      .replace('method: uniform', 'method: adapt'),
  )
  writeFileSync(
    path.join(folder(), 'study.yaml'),
    `base: run.yaml\nbaseline: uniform\narms: { uniform: { method: uniform }, adapt: { method: adapt } }\nseeds: [0]\noutput_dir: ${JSON.stringify(path.join(folder(), 'study'))}\n`,
  )
  expect((await adapt(false, 'train', config())).exitCode).toBe(0)
})
afterAll(() => workshop[Symbol.dispose]())

describe('names and texts of others', () => {
  const commands: Record<string, () => string[]> = {
    train: () => ['train', config(), '--overwrite'],
    compare: () => ['compare', path.join(folder(), 'study.yaml')],
    data: () => ['data', config()],
    anchors: () => ['anchors', config(), '--model', run(), '--samples', '8'],
    validate: () => ['validate', config()],
    'validate --resolved': () => ['validate', config(), '--resolved'],
    estimate: () => ['estimate', config()],
    eval: () => ['eval', '--model', run(), '--text', path.join(folder(), 'held-*.jsonl')],
    'eval --json': () => ['eval', '--json', '--model', run(), '--text', path.join(folder(), 'held-*.jsonl')],
    generate: () => ['generate', '--model', run(), '--prompt', EVIL, '--max-new-tokens', '8'],
    'generate --json': () => [
      'generate',
      '--model',
      run(),
      '--prompt',
      EVIL,
      '--json',
      '--max-new-tokens',
      '2',
    ],
    'what-if': () => ['what-if', run(), '--set', 'method.gate.temperature=0.1'],
    report: () => ['report', run()],
    'a missing model': () => ['generate', '--model', `./${EVIL}`, '--prompt', 'x'],
    'a missing text': () => ['eval', '--model', run(), '--text', EVIL],
    'a missing config': () => ['train', EVIL],
    'an unknown option': () => ['train', `--${EVIL}`],
    'an unknown verb': () => [EVIL],
    'an unknown key': () => ['train', config(), '--set', `${EVIL}=1`],
    'a run that is there': () => ['train', config()],
  }
  it.each(Object.keys(commands))('of %s reach no terminal as commands to it', async (name) => {
    for (const isTTY of [true, false]) {
      // Text of a pipe is data of whoever reads it.
      if (name === 'validate --resolved' && !isTTY) continue
      const expected = /^(?:a|an) /.test(name) ? 2 : 0
      const { all, exitCode } = await adapt(isTTY, ...commands[name]!())
      expect(exitCode).toBe(expected)
      expect(all).not.toBe('')
      const steering = STEERING.exec(withoutOwn(all))
      expect(
        steering && withoutOwn(all).slice(Math.max(0, steering.index - 60), steering.index + 20),
      ).toBeNull()
      expect(all).not.toMatch(/^(?:error: )*forged/m)
    }
  })

  it('are the same in JSON as in the data', async () => {
    const { stdout } = await adapt(false, ...commands['eval --json']!())
    expect(Object.keys(JSON.parse(stdout).sources)).toEqual([EVIL])
    const answer = JSON.parse((await adapt(true, ...commands['generate --json']!())).stdout)
    expect(answer.prompt).toBe(EVIL)
  })
})
