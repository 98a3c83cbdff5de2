import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AdaptError } from '../errors.js'
import { type FetchModelOptions, fetchModel } from './fetch-model.js'
import { LocalHub, type LocalRepo } from './local-hub.test.fixture.js'
import { findModelPlace } from './resolve-model-path.js'

const COMMIT = 'c0ffee'.padEnd(40, '0')
const WEIGHTS = Buffer.alloc(300_000, 7)
const model: LocalRepo = {
  files: {
    'README.md': 'not fetched',
    'config.json': '{"architectures":["LlamaForCausalLM"]}',
    'generation_config.json': '{"a":1}',
    'tokenizer.json': '{"a":2}',
    'tokenizer_config.json': '{"a":3}',
    'chat_template.jinja': '{{ messages }}',
    'model.safetensors': WEIGHTS,
    'pytorch_model.bin': 'never fetched',
    'training_args.bin': 'never fetched',
  },
}
const sharded: LocalRepo = {
  files: {
    'config.json': '{}',
    'model.safetensors.index.json': JSON.stringify({
      weight_map: {
        a: 'model-00001-of-00002.safetensors',
        b: 'model-00002-of-00002.safetensors',
        c: '../x.safetensors',
      },
    }),
    'model-00001-of-00002.safetensors': 'one',
    'model-00002-of-00002.safetensors': 'two',
    'model-00003-of-00002.safetensors': 'not named',
  },
}
const hub = new LocalHub({
  'org/model': model,
  'org/sharded': sharded,
  'org/gated': { ...model, access: 'gated' },
  'org/private': { ...model, access: 'private' },
  'org/pickled': { files: { 'config.json': '{}', 'pytorch_model.bin': 'x' } },
  'org/adapter': {
    files: { 'adapter_config.json': '{}', 'adapter_model.safetensors': 'x', 'optimizer.pt': 'x' },
  },
})

let root = ''
let home = ''
let lines: string[] = []
beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'adapt-hub-'))
  await hub.start()
})
afterAll(async () => {
  await hub.stop()
  rmSync(root, { recursive: true, force: true })
})
beforeEach(() => {
  home = mkdtempSync(path.join(root, 'home-'))
  lines = []
  hub.requests.length = 0
})
afterEach(() => {
  hub.damaged.clear()
  hub.cut = undefined
})

const environment = (more: Record<string, string> = {}) => ({
  HF_ENDPOINT: hub.endpoint,
  HF_HOME: home,
  ...more,
})
const fetchIt = (text: string, more: Record<string, string> = {}, options: Partial<FetchModelOptions> = {}) =>
  fetchModel(root, text, {
    content: 'model',
    onLine: (line) => lines.push(line),
    env: environment(more),
    ...options,
  })
const failure = async (action: Promise<unknown>): Promise<AdaptError> => {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(AdaptError)
  return error as AdaptError
}
const repoFolder = (name: string) => path.join(home, 'hub', `models--org--${name}`)

describe('a model on a hub', () => {
  it('is fetched into the cache as Hugging Face lays it out, without what is not read', async () => {
    const folder = await fetchIt('org/model')
    expect(folder).toBe(path.join(repoFolder('model'), 'snapshots', COMMIT))
    expect(hub.fetched).toEqual([
      'chat_template.jinja',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    expect(readFileSync(path.join(repoFolder('model'), 'refs', 'main'), 'utf8')).toBe(COMMIT)
    const link = path.join(folder, 'model.safetensors')
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(readlinkSync(link)).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/)
    expect(readFileSync(link).equals(WEIGHTS)).toBe(true)
    expect(readdirSync(path.join(repoFolder('model'), 'blobs')).filter((name) => name.includes('.'))).toEqual(
      [],
    )
    expect(lines[0]).toContain(`fetching org/model (c0ffee00) from ${hub.endpoint}`)
  })

  it('is asked for once in a process, and then found without the network', async () => {
    const folder = await fetchIt('org/model')
    const { length } = hub.requests
    expect(await fetchIt('org/model')).toBe(folder)
    expect(hub.requests.length).toBe(length)
    expect(findModelPlace(root, 'org/model', environment({ HF_HUB_OFFLINE: '1' })).folder).toBe(folder)
    expect(await fetchIt('org/model', { HF_HUB_OFFLINE: '1' })).toBe(folder)
    expect(await fetchIt(`org/model@${COMMIT}`, { HF_HUB_OFFLINE: '1' })).toBe(folder)
  })

  it('in shards is fetched by its index, names that lead elsewhere left out', async () => {
    await fetchIt('org/sharded')
    expect(hub.fetched).toEqual([
      'config.json',
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
      'model.safetensors.index.json',
    ])
  })

  it('gives its tokenizer or an adapter alone', async () => {
    await fetchIt('org/model', {}, { content: 'tokenizer' })
    expect(hub.fetched).toEqual(['chat_template.jinja', 'tokenizer.json', 'tokenizer_config.json'])
    hub.requests.length = 0
    await fetchIt('org/adapter', {}, { content: 'adapter' })
    expect(hub.fetched).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
  })

  it('is opened with the token of the environment or of the token file', async () => {
    await fetchIt('org/gated', { HF_TOKEN: hub.token })
    writeFileSync(path.join(home, 'token'), `${hub.token}\n`)
    await fetchIt('org/private')
    expect(existsSync(path.join(repoFolder('private'), 'refs', 'main'))).toBe(true)
  })

  it('is refused by its config before its weights are fetched', async () => {
    const checkConfig = () => {
      throw new Error('not this one')
    }
    await expect(fetchIt('org/model', {}, { checkConfig })).rejects.toThrow('not this one')
    expect(hub.fetched).toEqual(['config.json'])
  })
})

describe('a path', () => {
  it('that exists wins over a hub id, and one that begins with a dot or a slash never is one', async () => {
    const folder = path.join(root, 'org', 'model')
    mkdirSync(folder, { recursive: true })
    expect(await fetchIt('org/model')).toBe(folder)
    rmSync(path.join(root, 'org'), { recursive: true })
    for (const text of [
      './org/model',
      '../org/model',
      '/org/model',
      'org/model/',
      'a/b/c',
      'one',
      'org/mo..del',
    ])
      expect(await fetchIt(text)).toBe(path.resolve(root, text))
    expect(hub.requests).toEqual([])
  })
})

describe('a mistyped path', () => {
  it('is not asked of the hub: where runs are kept, or where a folder of that name lies', async () => {
    mkdirSync(path.join(root, 'experiments'), { recursive: true })
    for (const text of ['runs/nope', 'outputs/first', 'experiments/nope', 'mine/checkpoint-500'])
      expect(await fetchIt(text)).toBe(path.resolve(root, text))
    expect(hub.requests).toEqual([])
    expect(await failure(fetchIt('experiments/nope@main'))).toMatchObject({ code: 'HUB_NOT_FOUND' })
  })
})

describe('a download that breaks off', () => {
  it('goes on where it stopped', async () => {
    hub.cut = { file: 'model.safetensors', after: 100_000 }
    const error = await failure(fetchIt('org/model'))
    expect(error).toMatchObject({ code: 'HUB_UNREACHABLE', exitCode: 5 })
    expect(error.message).toContain('the same command goes on where it stopped')
    expect(existsSync(path.join(repoFolder('model'), 'refs', 'main'))).toBe(false)
    hub.requests.length = 0
    const folder = await fetchIt('org/model')
    expect(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS)).toBe(true)
    const ranges = hub.requests.filter(
      (line) => line.includes('model.safetensors bytes=') && !line.endsWith('bytes=0-0'),
    )
    expect(ranges).toEqual([expect.stringMatching(/bytes=[1-9]\d*-299999$/)])
  })

  it('may be stopped from outside, and keeps what has arrived', async () => {
    const checkStop = () => {
      throw new AdaptError('INTERRUPTED', 75, 'stopped')
    }
    expect(await failure(fetchIt('org/model', {}, { checkStop }))).toMatchObject({ code: 'INTERRUPTED' })
  })

  it('is not taken when the bytes are not those of the hash', async () => {
    hub.damaged.set('model.safetensors', Buffer.alloc(300_000, 8))
    expect(await failure(fetchIt('org/model'))).toMatchObject({ code: 'HUB_DAMAGED', exitCode: 5 })
    hub.damaged.clear()
    const folder = await fetchIt('org/model')
    expect(readFileSync(path.join(folder, 'model.safetensors')).equals(WEIGHTS)).toBe(true)
  })
})

describe('one clear line says', () => {
  it.each([
    ['org/nothing', {}, 'HUB_NOT_FOUND', 'no such model at'],
    ['org/private', {}, 'HUB_NOT_FOUND', 'HF_TOKEN is not set'],
    ['org/model@v9', {}, 'HUB_NOT_FOUND', 'has no revision "v9"'],
    ['org/gated', {}, 'HUB_GATED', 'accept its terms at'],
    ['org/model', { HF_TOKEN: 'secret' }, 'HUB_TOKEN', 'begins with hf_'],
    ['org/model', { HF_HUB_OFFLINE: '1' }, 'HUB_OFFLINE', 'unset HF_HUB_OFFLINE'],
    ['org/pickled', {}, 'MODEL_NOT_FOUND', 'pytorch_model.bin is there, but pickled weights'],
  ])('%s %o: %s', async (id, env, code, text) => {
    const error = await failure(fetchIt(id, env as Record<string, string>))
    expect(error).toMatchObject({ code, exitCode: 2 })
    expect(error.message).toContain(text)
    expect(error.message).not.toContain('\n')
    expect(error.message).not.toContain('secret')
  })

  it('that the hub cannot be reached, unless the cache has the model', async () => {
    const away = { HF_ENDPOINT: 'http://127.0.0.1:1' }
    const error = await failure(fetchIt('org/model', away))
    expect(error).toMatchObject({ code: 'HUB_UNREACHABLE', exitCode: 5 })
    expect(error.message).toContain('http://127.0.0.1:1 (')
    const folder = await fetchIt('org/model')
    expect(await fetchIt('org/model', away)).toBe(folder)
    expect(lines.at(-1)).toContain('taken from the cache')
  })
})
