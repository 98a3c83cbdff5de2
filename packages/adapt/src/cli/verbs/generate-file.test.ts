import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { runCli } from '../run-cli.js'

const project = fileURLToPath(new URL('../../../../..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'adapt-generate-'))
afterAll(() => rmSync(scratch, { recursive: true }))
const MODEL = [
  ...['--model', join(project, 'examples/base/model'), '--tokenizer', join(project, 'examples/tokenizer')],
  // In bfloat16, where the processor has it, products round otherwise with another number of rows.
  ...['--device', 'cpu', '--dtype', 'float32', '--max-new-tokens', '10'],
]

const generate = (...args: string[]) => generateWith(() => {}, ...args)

async function generateWith(onLine: (text: string) => void, ...args: string[]) {
  const out = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') => ({
    write(text: string) {
      out[name] += text
      onLine(text)
    },
  })
  const io = { stdout: sink('stdout'), stderr: sink('stderr'), env: {} }
  return { exitCode: await runCli(['generate', ...MODEL, ...args], io), ...out }
}

let numFiles = 0
function fileOf(text: string, ending = 'jsonl'): string {
  const path = join(scratch, `prompts-${numFiles++}.${ending}`)
  writeFileSync(path, text)
  return path
}
const newFile = () => join(scratch, `answers-${numFiles++}.jsonl`)
const answersOf = (path: string) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { completion: string }).completion)

describe('adapt generate --prompts', () => {
  const PROMPTS = ['SELECT name FROM', 'CREATE TABLE', 'SELECT name FROM', 'An index is a']

  test('answers each record as its prompt alone is answered, and keeps the record', async () => {
    const lines = PROMPTS.map(
      (prompt, i) => `{"prompt":${JSON.stringify(prompt)},"n":1234567890123456789${i}}`,
    )
    const output = newFile()
    const found = await generate('--prompts', fileOf(`${lines.join('\n\n')}\n`), '--output', output)
    expect(found).toMatchObject({ exitCode: 0, stdout: '' })
    const alone: string[] = []
    for (const prompt of PROMPTS) {
      const { stdout } = await generate('--prompt', prompt, '--json')
      alone.push((JSON.parse(stdout) as { text: string }).text)
    }
    expect(answersOf(output)).toEqual(alone)
    const written = readFileSync(output, 'utf8').trimEnd().split('\n')
    for (const [i, line] of written.entries()) expect(line.startsWith(lines[i]!.slice(0, -1))).toBe(true)
    expect(existsSync(`${output}.partial`)).toBe(false)
  })

  test('goes on from what a killed command wrote, asks that no more, and cuts a half line off', async () => {
    const prompts = fileOf(PROMPTS.map((prompt) => JSON.stringify({ prompt })).join('\n'))
    const drawn = ['--temperature', '1.2', '--seed', '3', '--prompts', prompts, '--output']
    const [whole, output] = [newFile(), newFile()]
    await generate(...drawn, whole)
    expect(new Set(answersOf(whole)).size).toBe(4)
    // What stands after a kill: some answers, here changed to be known again, and the beginning of one more.
    const partial = await keptOf(drawn)
    expect(partial).toHaveLength(4)
    writeFileSync(
      `${output}.partial`,
      `${partial[0]!.replace(/"text":"[^"]*/, '"text":"kept')}\n${partial[1]!.slice(0, 50)}`,
    )
    const { stderr } = await generate(...drawn, output)
    expect(stderr).toContain('goes on: 1 of 4 were answered')
    const answers = answersOf(output)
    expect(answers.filter((answer) => answer.startsWith('kept'))).toHaveLength(1)
    expect(answersOf(whole).filter((answer) => !answers.includes(answer))).toHaveLength(1)
  })

  /** Lines that stay behind when the output cannot be put in its place. */
  async function keptOf(args: readonly string[]): Promise<string[]> {
    const output = newFile()
    const take = (text: string) => {
      if (text.startsWith('device')) mkdirSync(output)
    }
    expect((await generateWith(take, ...args, output)).exitCode).not.toBe(0)
    return readFileSync(`${output}.partial`, 'utf8').trimEnd().split('\n')
  }

  test('writes records of other forms by the chat template, a text file as one prompt', async () => {
    const records = [
      { messages: [{ role: 'user', content: 'Hello' }] },
      { conversations: [{ from: 'human', value: 'Hello' }] },
      { prompt: 'Hello', completion: 'not read' },
      { instruction: 'Hello', output: 'not read' },
      { prompt: [{ role: 'user', content: 'Hello' }] },
    ]
    const chat = ['--chat-template', 'chatml', '--completion-field', 'said']
    const output = newFile()
    const files = [fileOf(JSON.stringify(records), 'json'), fileOf('Hello', 'txt')]
    const found = await generate(...chat, ...files.flatMap((file) => ['--prompts', file]), '--output', output)
    expect(found.exitCode, found.stderr).toBe(0)
    const said = readFileSync(output, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { said: string }).said)
    expect(said).toHaveLength(6)
    expect(new Set(said).size).toBe(1)
  })

  test.each([
    [
      '{"prompt":"a"}\n{"promt":"b"}',
      [],
      3,
      ':2: expected a record with the key "messages", "conversations", "prompt", "instruction" or "text", received the keys "promt"',
    ],
    [
      '{"prompt":"a"}',
      ['--prompt-field', 'question'],
      3,
      ':1: expected a record with the key "question", received the keys "prompt"',
    ],
    ['{"prompt":3}', [], 3, ':1: "prompt": expected a list of messages, received 3'],
    [
      '{"prompt":"a","completion":"b"}',
      [],
      3,
      ':1: expected no field "completion", which the answer gets; name another by --completion-field',
    ],
    [
      '{"messages":[{"role":"user","content":"a"}]}',
      [],
      3,
      ':1: expected a prompt of text alone: messages are written by a chat template, and there is none',
    ],
    [
      '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}',
      [],
      3,
      ':1: "messages": expected a last message to be answered, received one of the assistant',
    ],
    ['[1]', [], 3, ':1: expected an object with the fields of a record'],
    [`{"prompt":"${'many words '.repeat(2000)}"}`, [], 3, ':1: expected a prompt of 1 to '],
    ['', [], 3, 'expected at least one record, found none in '],
  ])('refuses %s %j before anything is written', async (text, args, exitCode, message) => {
    const output = newFile()
    const found = await generate('--prompts', fileOf(text), '--output', output, ...args)
    expect(found).toMatchObject({ exitCode, stderr: expect.stringContaining(message) })
    expect([existsSync(output), existsSync(`${output}.partial`)]).toEqual([false, false])
  })

  test('replaces an output when told to, and never its own input', async () => {
    const prompts = fileOf('{"prompt":"SELECT"}')
    const output = newFile()
    writeFileSync(output, 'old')
    const args = ['--prompts', prompts, '--output', output]
    expect(await generate(...args)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('exists') })
    expect(readFileSync(output, 'utf8')).toBe('old')
    expect((await generate(...args, '--overwrite')).exitCode).toBe(0)
    expect(answersOf(output)).toHaveLength(1)
    const own = await generate('--prompts', prompts, '--output', prompts, '--overwrite')
    expect(own).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('expected another file than') })
  })

  test.each([
    [['--prompts', 'a.jsonl'], '--output: expected the file for the answers to --prompts, received none'],
    [['--prompt', 'a', '--output', 'b'], '--output: expected it with --prompts'],
    [['--prompt', 'a', '--prompts', 'b'], 'expected --prompt or --prompts, received both'],
    [
      ['--prompts', 'a', '--output', 'b', '--json'],
      '--json: expected it without --prompts, whose answers are lines of JSON',
    ],
  ])('%j is refused', async (args, message) => {
    expect(await generate(...args)).toEqual({ exitCode: 2, stdout: '', stderr: `error: ${message}\n` })
  })
})
