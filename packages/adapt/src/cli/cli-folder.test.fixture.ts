import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll } from 'vitest'
import { writeTinyTokenizer } from '../tokenize/tiny-tokenizer.test.fixture.js'
import { runCli } from './run-cli.js'

export const BIN = fileURLToPath(new URL('../../bin/adapt.mjs', import.meta.url))

interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

interface RunOptions {
  readonly nodeArgs?: readonly string[]
  readonly bin?: string
  /** Close the reading end of stdout before anything is written. */
  readonly closeStdout?: boolean
}

/**
 * A folder with a config and its files, and the command run in it: `adapt` as a process of its own; `adaptHere` in this one, a second of work
 * earlier, where a test asks for what is said and not for the process around it.
 */
export function cliFolder() {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'adapt-cli-'))
    writeTinyTokenizer(join(folder, 'conf/tok'))
    await mkdir(join(folder, 'conf/corpus'))
    const records = [
      { text: 'the data shapes the model\u001b[2J', source: 'web' },
      { prompt: 'the model? ', completion: 'the data.', source: 'qa' },
      { prompt: 'a prompt that is longer than the whole sample may be', completion: 'x', source: 'qa' },
    ]
    await writeFile(
      join(folder, 'conf/corpus/a.jsonl'),
      records.map((r) => `${JSON.stringify(r)}\n`).join(''),
    )
    await writeFile(join(folder, 'conf/anchors.jsonl'), '{"text": "the user"}\n')
    await writeFile(join(folder, 'conf/bad.jsonl'), '{"text": 5}\n')
    await writeFile(join(folder, 'conf/empty.jsonl'), '\n')
    const messages = [
      { role: 'user', content: 'what shapes it?' },
      { role: 'assistant', content: 'the data' },
    ]
    await writeFile(join(folder, 'conf/talk.jsonl'), `${JSON.stringify({ messages })}\n`.repeat(2))
    await writeFile(
      join(folder, 'conf/run.yaml'),
      `model: { init: scratch, preset: llama-1m }
tokenizer: tok
data: { train: [corpus/*.jsonl], max_length: 24 }
anchors: [anchors.jsonl]
training: { max_steps: 30 }
output_dir: runs/x
`,
    )
  })
  afterAll(() => rm(folder, { recursive: true }))
  const adapt = (args: readonly string[], options: RunOptions = {}): Promise<Outcome> => {
    const { NO_COLOR: _, ADAPT_DEBUG: __, ...env } = process.env
    const child = spawn(process.execPath, [...(options.nodeArgs ?? []), options.bin ?? BIN, ...args], {
      cwd: folder,
      env,
    })
    let stdout = ''
    let stderr = ''
    if (options.closeStdout === true) child.stdout.destroy()
    else child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    return new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }))
    })
  }
  const adaptHere = async (args: readonly string[]): Promise<Outcome> => {
    const out = { stdout: '', stderr: '' }
    const sink = (name: 'stdout' | 'stderr') => ({
      write: (text: string) => {
        out[name] += text
        return true
      },
    })
    const { NO_COLOR: _, ADAPT_DEBUG: __, ...env } = process.env
    const before = process.cwd()
    process.chdir(folder)
    try {
      const exitCode = await runCli(args, { stdout: sink('stdout'), stderr: sink('stderr'), env })
      return { exitCode, ...out }
    } finally {
      process.chdir(before)
    }
  }
  return { path: (): string => folder, adapt, adaptHere }
}

/** Code for `node --import`. */
export function dataUrl(source: string): string {
  return `data:text/javascript,${encodeURIComponent(source)}`
}
