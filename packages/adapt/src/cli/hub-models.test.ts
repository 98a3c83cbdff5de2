import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { LocalHub } from '../hub/local-hub.test.fixture.js'
import { saveModelFolder } from '../model/index.js'
import { createTinyLlama } from '../model/tiny-llama.test.fixture.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { runCli } from './run-cli.js'

const workshop = new Workshop()
const repo: Record<string, Buffer> = {}
const hub = new LocalHub({
  'org/base': { files: repo },
  'org/quantised': {
    files: {
      'config.json': '{"architectures":["LlamaForCausalLM"],"quantization_config":{"quant_method":"awq"}}',
      'model.safetensors': 'not fetched',
    },
  },
})

beforeAll(async () => {
  const model = createTinyLlama({ vocabSize: workshop.vocabSize, maxPositionEmbeddings: 64 })
  const folder = workshop.file('base')
  saveModelFolder(model, folder, { maxShardSize: '3KB', tokenizerFolder: workshop.file('tokenizer') })
  model.dispose()
  const { weight_map } = JSON.parse(readFileSync(path.join(folder, 'model.safetensors.index.json'), 'utf8'))
  const shards = Object.values(weight_map as Record<string, string>)
  const names = [
    'config.json',
    'tokenizer.json',
    'tokenizer_config.json',
    'model.safetensors.index.json',
    ...shards,
  ]
  for (const name of names) {
    if (existsSync(path.join(folder, name))) repo[name] = readFileSync(path.join(folder, name))
  }
  await hub.start()
  await workshop.train('writes-the-config', ['training.max_steps=1'])
})
afterAll(async () => {
  await hub.stop()
  workshop[Symbol.dispose]()
})
let home = 0
beforeEach(() => {
  hub.requests.length = 0
  vi.stubEnv('HF_ENDPOINT', hub.endpoint)
  vi.stubEnv('HF_HOME', workshop.file(`home-${++home}`))
  vi.stubEnv('HF_HUB_OFFLINE', '')
})
afterEach(() => {
  vi.unstubAllEnvs()
})

async function adapt(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const out = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') => ({
    write: (text: string) => {
      out[name] += text
      return true
    },
  })
  const exitCode = await runCli(args, { stdout: sink('stdout'), stderr: sink('stderr'), env: process.env })
  return { exitCode, ...out }
}
const set = (...assignments: string[]) => assignments.flatMap((assignment) => ['--set', assignment])
const BASE = set('model={ path: org/base }', 'tokenizer=org/base', 'anchors=[]')

describe('a hub id', () => {
  it('is trained from: its files are fetched before the data is read, once', async () => {
    const output = workshop.runFolder('from-hub')
    const options = [...set('training.max_steps=2', 'model.lora={ r: 2 }'), '--output-dir', output]
    const { exitCode, stdout, stderr } = await adapt('train', workshop.file('run.yaml'), ...BASE, ...options)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout).toMatch(/^device cpu [^\n]*\nfetching org\/base/)
    expect(hub.fetched).toEqual(Object.keys(repo).sort())
    expect(hub.requests.filter((line) => line.includes('/revision/'))).toHaveLength(1)
    const adapter = JSON.parse(readFileSync(path.join(output, 'model', 'adapter_config.json'), 'utf8'))
    expect(adapter.base_model_name_or_path).toBe('org/base')
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    const texts = ['--text', workshop.file('held-out.jsonl')]
    expect(await adapt('eval', '--model', output, ...texts)).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/^device cpu [^\n]*\nwindow 48 tokens \(data.max_length of [^\n]*\n$/),
    })
  })

  it('is evaluated, with the fetching on stderr', async () => {
    const { exitCode, stdout, stderr } = await adapt(
      'eval',
      ...['--model', 'org/base', '--text', workshop.file('held-out.jsonl'), '--json'],
    )
    expect(exitCode, stderr).toBe(0)
    expect(stderr).toMatch(
      /^fetching org\/base \(c0ffee00\) from http:\/\/127\.0\.0\.1:\d+\ndevice cpu [^\n]*\nwindow 64 tokens[^\n]*\n$/,
    )
    expect(JSON.parse(stdout).all.bits_per_byte).toBeGreaterThan(0)
  })

  it('is only named by validate, which fetches nothing', async () => {
    const { exitCode, stdout } = await adapt('validate', workshop.file('run.yaml'), ...BASE)
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^model +org\/base, to be fetched from http\S* \(there is no\s+folder \S+\)$/m)
    expect(stdout).toMatch(/^tokenizer +org\/base, to be fetched/m)
    expect(hub.requests).toEqual([])
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    const offline = await adapt('validate', workshop.file('run.yaml'), ...BASE)
    expect(offline).toMatchObject({ exitCode: 2, stdout: '' })
    expect(offline.stderr).toMatch(/^error: model\.path: org\/base: no folder .*unset HF_HUB_OFFLINE/)
  })

  it('of a model that cannot be trained ends the command before its weights are fetched', async () => {
    const { exitCode, stderr } = await adapt(
      'eval',
      '--model',
      'org/quantised',
      '--text',
      workshop.file('held-out.jsonl'),
    )
    expect(exitCode).toBe(2)
    expect(stderr).toContain('quantised by awq')
    expect(hub.fetched).toEqual(['config.json'])
  })

  it('that is nowhere is one line and exit code 2; no network is 5', async () => {
    const texts = ['--text', workshop.file('held-out.jsonl')]
    const missing = await adapt('eval', '--model', 'org/nothing', ...texts)
    expect(missing).toMatchObject({ exitCode: 2, stdout: '' })
    expect(missing.stderr.trim().split('\n')).toHaveLength(1)
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1')
    const away = await adapt('eval', '--model', 'org/nothing', ...texts)
    expect(away).toMatchObject({ exitCode: 5, stdout: '' })
    expect(away.stderr).toMatch(
      /^error: org\/nothing: no folder .*cannot be fetched from http:\/\/127\.0\.0\.1:1/,
    )
  })
})
