import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type ChatContent, type Document, resolveSources } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import type { ChatOptions } from './chat-settings.js'
import { noteLines, truncationLines } from './data-notes.js'
import { createEncoderPool } from './encoder-pool.js'
import { writeTinyTokenizer } from './tiny-tokenizer.test.fixture.js'
import { openTokenCache, type TokenCacheOptions } from './token-cache.js'
import type { TokenDataset } from './token-dataset.js'
import { tokenizeDocuments } from './tokenize-documents.js'
import { loadTokenizer, type Tokenizer } from './tokenizer.js'

// One line a message; the end of an answer is trained with it.
const TEMPLATE =
  "{{ bos_token }}{% for m in messages %}{{ m.role[0] }}:{{ m.content }}{{ eos_token if m.role == 'assistant' else ';' }}{% endfor %}" +
  '{% if add_generation_prompt %}a:{% endif %}'

let root = ''
let folder = ''
let tokenizer: Tokenizer
const load = (options: ChatOptions = {}): Tokenizer =>
  loadTokenizer(path.join(root, 'tokenizer'), { configured: TEMPLATE, ...options })
beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-chats-'))
  writeTinyTokenizer(path.join(root, 'tokenizer'))
  tokenizer = load()
})
afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})
beforeEach(() => {
  folder = mkdtempSync(path.join(root, 'case-'))
})

const chat = (words: string, numPromptMessages = 0): ChatContent => ({
  kind: 'chat',
  messages: words.split(' ').map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content })),
  ...(numPromptMessages === 0 ? {} : { numPromptMessages }),
})

const documentOf = (content: Document['content'], line = 1): Document => ({
  id: `d${line}`,
  source: 's',
  path: 'p.jsonl',
  line,
  byteOffset: 0,
  weight: 1,
  content,
})

/** The text of a sample with its trained tokens in brackets. */
async function marked(dataset: TokenDataset, index: number, from: Tokenizer = tokenizer): Promise<string> {
  const { tokens, labelMask } = dataset.sample(index)
  const parts = await Promise.all(
    [...tokens].map(async (id, t) => {
      const text = await from.decode([id])
      return labelMask[t] === 1 ? `[${text}]` : text
    }),
  )
  return parts.join('').replaceAll('][', '')
}

async function one(content: Document['content'], options: ChatOptions = {}, maxLength = 64): Promise<string> {
  const with_ = load(options)
  return await marked(await tokenizeDocuments([documentOf(content)], with_, maxLength), 0, with_)
}

async function errorOf(action: Promise<unknown>): Promise<AdaptError> {
  const error = await action.catch((e: unknown) => e)
  expect(error).toBeInstanceOf(AdaptError)
  return error as AdaptError
}

const record = (words: string) => ({ messages: chat(words).messages })

async function open(
  records: readonly unknown[],
  options: Partial<TokenCacheOptions> = {},
): Promise<TokenDataset> {
  writeFileSync(path.join(folder, 'a.jsonl'), records.map((r) => `${JSON.stringify(r)}\n`).join(''))
  return await openTokenCache({
    files: await resolveSources([{ path: 'a.jsonl' }], folder),
    tokenizer,
    maxLength: 64,
    cacheDir: path.join(folder, 'cache'),
    numWorkers: 0,
    ...options,
  })
}

describe('samples of conversations', () => {
  it('train every answer with its end, and get no token of ours', async () => {
    expect(await one(chat('qq ww'))).toBe('<s>u:qq;a:[ww</s>]')
    expect(await one(chat('qq ww vv kk'))).toBe('<s>u:qq;a:[ww</s>]u:vv;a:[kk</s>]')
  })

  it('of a prompt and a completion train the completion, or all answers when told so', async () => {
    expect(await one(chat('qq ww vv kk', 3))).toBe('<s>u:qq;a:ww</s>u:vv;a:[kk</s>]')
    expect(await one(chat('qq ww vv kk', 3), { completionOnlyLoss: false })).toBe(
      '<s>u:qq;a:[ww</s>]u:vv;a:[kk</s>]',
    )
  })

  it('are rendered with the variables of their record', async () => {
    const configured = TEMPLATE.replace(
      '{{ bos_token }}',
      '{{ bos_token }}{{ "k" if kind is defined and not kind else "w" }}',
    )
    expect(await one(chat('qq ww'), { configured })).toBe('<s>wu:qq;a:[ww</s>]')
    const content = { ...chat('qq ww'), variables: { kind: false } }
    expect(await one(content, { configured })).toBe('<s>ku:qq;a:[ww</s>]')
  })

  it('leave out answers that say so, and all but the last when told so', async () => {
    const untrained = { ...chat('qq ww vv kk'), untrained: [3] }
    expect(await one(untrained)).toBe('<s>u:qq;a:[ww</s>]u:vv;a:kk</s>')
    expect(await one(chat('qq ww vv kk'), { trainOn: 'last' })).toBe('<s>u:qq;a:ww</s>u:vv;a:[kk</s>]')
    const both = tokenizeDocuments(
      [documentOf(untrained), documentOf(chat('q w'), 2)],
      load({ trainOn: 'last' }),
      64,
    )
    expect(await marked(await both, 0)).toBe('<s>u:qq;a:ww</s>u:vv;a:kk</s>')
    expect((await both).numUnlabelled).toBe(1)
  })

  it('train every token but the first when told so', async () => {
    expect(await one(chat('qq ww'), { assistantOnlyLoss: false })).toBe('<s>[u:qq;a:ww</s>]')
  })

  it('stand beside texts and completions, which keep their frame', async () => {
    const documents = [
      documentOf({ kind: 'text', text: 'qq' }, 1),
      documentOf(chat('qq ww'), 2),
      documentOf({ kind: 'completion', prompt: 'qq', completion: 'ww' }, 3),
    ]
    const dataset = await tokenizeDocuments(documents, tokenizer, 64)
    expect(await Promise.all([0, 1, 2].map((i) => marked(dataset, i)))).toEqual([
      '<s>[qq</s>]',
      '<s>u:qq;a:[ww</s>]',
      '<s>qq[ww</s>]',
    ])
    const whole = load({ completionOnlyLoss: false })
    expect(await marked(await tokenizeDocuments(documents, whole, 64), 2)).toBe('<s>[qqww</s>]')
  })

  it('are cut at the right, and answers that vanish are counted', async () => {
    const contents = [chat('qq ww vv kk'), chat('qq ww'), chat('qqqqqqqqqqqqqqqq ww')]
    const dataset = await tokenizeDocuments(contents.map(documentOf), tokenizer, 16)
    expect(await marked(dataset, 0)).toBe('<s>u:qq;a:[ww</s>]u:vv;')
    const { numTruncated, numChats, numResponses, numLostResponses, numUnlabelled } = dataset
    expect([numTruncated, numChats, numResponses, numLostResponses, numUnlabelled]).toEqual([2, 3, 4, 2, 1])
    expect(truncationLines(dataset)).toEqual([
      '2 of 4 (50.0 %) responses lie beyond data.max_length and are not trained',
      '1 of 3 (33.3 %) samples have no trained token',
    ])
    expect(truncationLines(await tokenizeDocuments([documentOf(chat('q w'))], tokenizer, 16))).toEqual([])
    // The answer of "qq ww" begins at the ninth token.
    const lost = async (maxLength: number) =>
      (await tokenizeDocuments([documentOf(chat('qq ww'))], tokenizer, maxLength)).numLostResponses
    expect([await lost(8), await lost(9)]).toEqual([1, 0])
  })

  it('need a template, and the error says where it was looked for', async () => {
    const bare = loadTokenizer(path.join(root, 'tokenizer'))
    await tokenizeDocuments([documentOf({ kind: 'text', text: 'qq' })], bare, 8)
    const error = await errorOf(tokenizeDocuments([documentOf(chat('qq ww'))], bare, 8))
    expect([error.code, error.exitCode]).toEqual(['CHAT_TEMPLATE_MISSING', 2])
    expect(error.message).toContain('data.chat_template')
    expect(error.message).toContain(path.join(root, 'tokenizer'))
  })
})

describe('a tokenizer with several templates', () => {
  it('renders conversations with tools by the one named tool_use, each by itself', async () => {
    const turns =
      "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}{{ 'a:' if add_generation_prompt }}"
    const chat_template = [
      { name: 'default', template: turns },
      { name: 'tool_use', template: `T{{ tools | length }};${turns}` },
    ]
    const several = writeTinyTokenizer(path.join(folder, 'several'), {
      config: { eos_token: '</s>', chat_template },
    })
    const from = loadTokenizer(several)
    const documents = [chat('q w'), { ...chat('q w'), tools: [{ name: 'f' }] }, { ...chat('q w'), tools: [] }]
    const dataset = await tokenizeDocuments(documents.map(documentOf), from, 64)
    const texts = await Promise.all([0, 1, 2].map((i) => marked(dataset, i, from)))
    expect(texts).toEqual(['u:q;a:[w;]', 'T1;u:q;a:[w;]', 'T0;u:q;a:[w;]'])
    const other = [chat_template[0]!, { ...chat_template[1]!, template: `tools ${turns}` }]
    const changed = writeTinyTokenizer(path.join(folder, 'changed'), {
      config: { eos_token: '</s>', chat_template: other },
    })
    expect(loadTokenizer(changed).chat.hash).not.toBe(from.chat.hash)
  })
})

describe('texts that were rendered before', () => {
  const text = (written: string): Document['content'] => ({ kind: 'text', text: written })
  const pair = (prompt: string, completion: string): Document['content'] => ({
    kind: 'completion',
    prompt,
    completion,
  })

  it.each([
    ['both', text('<s>qq</s>'), '<s>[qq</s>]'],
    ['bos', text('<s>qq'), '<s>[qq</s>]'],
    ['eos', text('qq</s>'), '<s>[qq</s>]'],
    ['eos before a line end', text('<s>qq</s>\n'), '<s>[qq</s>\n]'],
    ['neither', text('qq'), '<s>[qq</s>]'],
    ['eos within', text('qq</s>ww'), '<s>[qq</s>ww</s>]'],
    ['nothing', text(''), '<s>[</s>]'],
    ['bos alone', text('<s>'), '<s>[</s>]'],
    ['both in a prompt and a completion', pair('<s>qq', 'ww</s>'), '<s>qq[ww</s>]'],
    ['bos in a prompt', pair('<s>qq', 'ww'), '<s>qq[ww</s>]'],
    ['eos in a completion', pair('qq', 'ww</s>'), '<s>qq[ww</s>]'],
    ['bos in a completion without a prompt', pair('', '<s>ww</s>'), '<s>[ww</s>]'],
  ])('get what is missing only: with %s', async (_what, content, expected) => {
    expect(await one(content)).toBe(expected)
  })

  it('begin with bos where samples begin with eos otherwise', async () => {
    const own = writeTinyTokenizer(path.join(folder, 'own'), {
      config: { bos_token: '<s>', eos_token: '</s>', add_bos_token: false },
    })
    const tokenizer_ = loadTokenizer(own)
    const documents = ['<s>qq</s>', '</s>qq', 'qq'].map((written, i) => documentOf(text(written), i + 1))
    const dataset = await tokenizeDocuments(documents, tokenizer_, 64)
    const texts = await Promise.all([0, 1, 2].map((i) => marked(dataset, i, tokenizer_)))
    expect(texts).toEqual(['<s>[qq</s>]', '</s>[qq</s>]', '</s>[qq</s>]'])
  })

  it('have two tokens where one token is both', async () => {
    const own = writeTinyTokenizer(path.join(folder, 'one'), {
      config: { bos_token: '</s>', eos_token: '</s>' },
    })
    const dataset = await tokenizeDocuments([documentOf(text('</s>'))], loadTokenizer(own), 64)
    expect([...dataset.sample(0).tokens]).toEqual([305, 305])
  })

  it('are counted once for all, and so are conversations with a token twice', async () => {
    const dataset = await open([
      { text: '<s>qq</s>' },
      { text: 'qq</s>' },
      { text: 'qq' },
      { prompt: '<s>q', completion: 'w' },
      record('qq ww'),
      record('qq ww</s>'),
      {
        messages: [
          { role: 'user', content: 'q' },
          { role: 'assistant', content: '<s>' },
        ],
      },
    ])
    expect(noteLines(dataset.notes)).toEqual([
      'of 4 texts 2 begin with the start token and 2 end with eos already: none is added to those',
      '1 conversation has bos or eos twice in a row: a message seems to hold what the chat template writes',
    ])
    expect(noteLines((await open([{ text: 'qq' }, record('qq ww')])).notes)).toEqual([])
  })
})

describe('the token cache of conversations', () => {
  it('is the same from any number of threads', async () => {
    const records = Array.from({ length: 600 }, (_, i) => record(`q${i} w${i * 7} v kk${i}`))
    const [alone, threaded] = [
      await open(records),
      await open(records, { numWorkers: 3, cacheDir: path.join(folder, 'other') }),
    ]
    expect(threaded.numSamples).toBe(600)
    for (let i = 0; i < 600; i++) expect(threaded.sample(i)).toEqual(alone.sample(i))
    expect(await marked(alone, 3)).toBe('<s>u:q3;a:[w21</s>]u:v;a:[kk3</s>]')
  })

  it('depends on the template and on what is trained', async () => {
    const settings: ChatOptions[] = [
      {},
      { assistantOnlyLoss: false },
      { completionOnlyLoss: false },
      { trainOn: 'last' },
      { configured: `x${TEMPLATE}` },
    ]
    const found = new Set<string>()
    for (const options of settings) {
      const dataset = await open([record('qq ww')], { tokenizer: load(options) })
      found.add(dataset.fingerprint)
    }
    expect(found.size).toBe(settings.length)
  })

  it('counts a conversation that the template refuses as a bad record', async () => {
    const strict = load({
      configured: `{% if messages[0].content == 'no' %}{{ raise_exception('not that') }}{% endif %}${TEMPLATE}`,
    })
    const records = [record('qq ww'), record('no ww'), record('vv kk'), { text: 5 }]
    const error = await errorOf(open(records, { tokenizer: strict }))
    expect([error.exitCode, error.message]).toEqual([3, expect.stringContaining('a.jsonl:')])
    const refused = await errorOf(open(records.slice(0, 3), { tokenizer: strict }))
    expect(refused.exitCode).toBe(3)
    expect(refused.message).toContain('a.jsonl:2: ')
    expect(refused.message).toContain('not that')
    const dataset = await open(records, { tokenizer: strict, maxBadRecords: 2 })
    expect(dataset.numSamples).toBe(2)
    expect(noteLines(dataset.notes)).toEqual([expect.stringContaining('a.jsonl: 2 bad records skipped')])
  })

  it('says once which keys look like a control of what is trained, with their count', async () => {
    const records = [1, 2, 3].map((n) => ({ ...record('qq ww'), label: n < 3 ? true : null }))
    for (let n = 0; n < 2; n++) {
      expect(noteLines((await open(records)).notes)).toEqual([
        '"label" looks like a control of what is trained, and is ignored: 2 records have it, the first is a.jsonl:1',
      ])
    }
  })

  it('of which nothing is trained is refused with the template and the start of a sample', async () => {
    const error = await errorOf(open([record('qqqqqqqqqqqq ww')], { maxLength: 8 }))
    expect([error.code, error.exitCode]).toEqual(['ZERO_TRAINED_TOKENS', 3])
    expect(error.message).toContain('data.chat_template')
    expect(error.message).toContain('begins "<s>u:qqq')
    expect(readdirSync(path.join(folder, 'cache'))).toHaveLength(1)
  })
})

describe('a hostile template', () => {
  const budget = { renderMs: 400, heapMb: 64 }
  const hostile: [string, string][] = [
    [
      'never ends',
      '{% for a in range(100000) %}{% for b in range(100000) %}{% set x = a %}{% endfor %}{% endfor %}',
    ],
    [
      'doubles a text for ever',
      "{% set n = namespace(s='aaaaaaaa') %}{% for a in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    ],
    [
      'doubles a list for ever',
      '{% set n = namespace(s=[1,2,3]) %}{% for a in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}',
    ],
  ]
  it.each(hostile)('that %s ends in one error', async (_, source) => {
    const pool = createEncoderPool(load({ configured: source }), 1, budget)
    try {
      const outcome = await pool.encode([chat('qq ww')]).catch((e: unknown) => e)
      expect(outcome).toBeInstanceOf(AdaptError)
      const { code, exitCode, message } = outcome as AdaptError
      expect([code, exitCode]).toEqual(['CHAT_TEMPLATE_BUDGET', 7])
      expect(message).toContain('data.chat_template')
    } finally {
      await pool.close()
    }
  })
})

describe('a long conversation', () => {
  it('may take longer than one rendering may', async () => {
    const pool = createEncoderPool(load(), 1, { renderMs: 300, heapMb: 64 })
    try {
      const words = Array.from({ length: 500 }, () => 'q').join(' ')
      const start = performance.now()
      const { refused, lengths } = await pool.encode([chat(words)])
      expect(performance.now() - start).toBeGreaterThan(400)
      expect(refused).toEqual([])
      expect(lengths[0]).toBeGreaterThan(1000)
    } finally {
      await pool.close()
    }
  })
})
