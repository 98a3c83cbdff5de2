import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createDocumentEncoder } from './document-encoder.js'
import { NativeTokenizer } from './native-tokenizer.js'
import {
  type TinyTokenizerJson,
  type TinyTokenizerOptions,
  writeTinyTokenizer,
} from './tiny-tokenizer.test.fixture.js'
import { loadTokenizer, type TokenizerOptions } from './tokenizer.js'
import { readTokenizerFiles } from './tokenizer-files.js'
import { TokenizerProcess } from './tokenizer-process.js'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-tokenizer-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

type Edit = TinyTokenizerOptions['edit']
const load = (edit?: Edit, options: TokenizerOptions = {}) =>
  loadTokenizer(writeTinyTokenizer(folder, edit ? { edit } : {}), {}, options)

/** At every letter of a long run of `a` it looks through the rest of them: some 8 s for 60,000. */
const quadratic: Edit = (json) => ({
  ...json,
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: 'a+[bc]' }, behavior: 'Isolated', invert: false },
      { ...(json.pre_tokenizer as object), use_regex: false },
    ],
  },
})
const SLOW_TEXT = 'a'.repeat(60_000)

const doubling = (times: number) => {
  const step = { type: 'Replace', pattern: { String: 'a' }, content: 'aa' }
  return { type: 'Sequence', normalizers: Array.from({ length: times }, () => step) }
}

function specOf(edit?: Edit) {
  const files = readTokenizerFiles(writeTinyTokenizer(folder, edit ? { edit } : {}))
  return { json: files.json, addedTokens: [...files.addedTokens], file: path.join(folder, 'tokenizer.json') }
}

describe('a tokenizer of others', () => {
  it('is ended when its pattern takes far longer than its text allows, and works on', async () => {
    const tokenizer = load(quadratic, { budget: { seconds: 0.2, megabytes: 256 } })
    const [before] = await tokenizer.encodeBatch(['a model'])
    await expect(tokenizer.encodeBatch([SLOW_TEXT])).rejects.toMatchObject({
      code: 'TOKENIZER_BUDGET',
      exitCode: 7,
      message: expect.stringMatching(
        /tokenizer\.json: tokenising 60000 characters took more than 1 s of processor time; .*use another tokenizer$/,
      ),
    })
    expect(await tokenizer.encodeBatch(['a model'])).toEqual([before])
  })

  it('is ended when its normaliser makes a short text long', async () => {
    const edit = (json: TinyTokenizerJson) => ({ ...json, normalizer: doubling(40) })
    await expect(
      load(edit, { budget: { seconds: 60, megabytes: 64 } }).encodeBatch(['a banana']),
    ).rejects.toMatchObject({
      code: 'TOKENIZER_BUDGET',
      exitCode: 7,
      message: expect.stringContaining('64 MB'),
    })
  })

  it('is ended when its decoder makes few tokens long', async () => {
    const step = { type: 'Replace', pattern: { String: 'a' }, content: 'aa' }
    const edit = (json: TinyTokenizerJson) => ({
      ...json,
      decoder: { type: 'Sequence', decoders: Array.from({ length: 40 }, () => step) },
    })
    const tokenizer = load(edit, { budget: { seconds: 60, megabytes: 64 } })
    const [ids] = await tokenizer.encodeBatch(['a'])
    await expect(tokenizer.decode(ids!)).rejects.toMatchObject({ code: 'TOKENIZER_BUDGET', exitCode: 7 })
  })

  it('is called hostile when its pattern or its tables make the library crash', async () => {
    const steps = { Regex: 'a{1,1000}a{1,1000}a{1,1000}b' }
    const pattern = (json: TinyTokenizerJson) => ({
      ...json,
      pre_tokenizer: { type: 'Split', pattern: steps, behavior: 'Isolated', invert: false },
    })
    const table = (json: TinyTokenizerJson) => ({
      ...json,
      normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' },
    })
    const crash = { code: 'TOKENIZER_CRASH', exitCode: 7 }
    await expect(load(pattern).encodeBatch(['a'.repeat(5000)])).rejects.toMatchObject(crash)
    await expect(load(table).encodeBatch(['a'])).rejects.toMatchObject({
      ...crash,
      message: expect.stringContaining('crashed (SIGABRT) while loading the tokenizer'),
    })
  })

  it('gives the ids of the native library, for a long document under the usual budget too', async () => {
    const texts = ['the model reads\n\n', 'é 😀 日本 </s>', 'the model '.repeat(100_000), '']
    const direct = await new NativeTokenizer(specOf()).encodeBatch(texts)
    expect(await load().encodeBatch(texts)).toEqual(direct)
  })

  it.each([0, 2])('ends at once when it is told to, with %i threads', async (numWorkers) => {
    const controller = new AbortController()
    const tokenizer = load(quadratic, { signal: controller.signal })
    const encoder = createDocumentEncoder(tokenizer, numWorkers)
    const encoding = encoder.encode([{ kind: 'text', text: SLOW_TEXT }])
    setTimeout(() => controller.abort(new Error('the user said stop')), 100)
    await expect(encoding).rejects.toThrow('the user said stop')
    await expect(encoder.encode([{ kind: 'text', text: 'more' }])).rejects.toThrow('the user said stop')
    await encoder.close()
  })

  it('says how its process ended', async () => {
    const tokenizer = new TokenizerProcess(specOf())
    await tokenizer.call('encodeBatch', ['a'])
    process.kill(tokenizer.pid!, 'SIGKILL')
    await expect(tokenizer.call('encodeBatch', ['a'])).rejects.toMatchObject({
      code: 'TOKENIZER_FAILED',
      exitCode: 5,
      message: expect.stringContaining('SIGKILL'),
    })
  })

  it.skipIf(process.platform !== 'linux')(
    'leaves no process behind when its own is killed at work',
    async () => {
      const program = `
      const { TokenizerProcess } = await import(${JSON.stringify(new URL('./tokenizer-process.js', import.meta.url).href)})
      const tokenizer = new TokenizerProcess(${JSON.stringify(specOf(quadratic))})
      await tokenizer.call('encodeBatch', ['a'])
      process.stdout.write(String(tokenizer.pid))
      await tokenizer.call('encodeBatch', ['a'.repeat(400000)])`
      const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
        stdio: ['ignore', 'pipe', 'ignore'],
      }) as ChildProcess
      const [pid] = (await once(parent.stdout!, 'data')) as [Buffer]
      parent.kill('SIGKILL')
      // One that nobody has collected yet is a zombie.
      const isGone = () => {
        try {
          return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.startsWith('Z')
        } catch {
          return true
        }
      }
      while (!isGone()) await delay(50)
    },
  )
})
