import { gzipSync } from 'node:zlib'
import { readDocuments, resolveSources } from '@adapt-ts/adapt'
import { describeEnd, inParallel } from '../support/child.mjs'
import { difference, digestRun } from '../support/digest.mjs'
import { seconds, Tally } from '../support/figures.mjs'
import { quantile } from '../support/random.mjs'
import { stopAt } from '../support/runs.mjs'
import { lines, sentence, Workshop } from '../support/workshop.mjs'

const record = (text) => `${JSON.stringify({ text })}\n`
const bytes = (...parts) => Buffer.concat(parts.map((part) => Buffer.from(part)))

/** Texts that must come back exactly, or the error code they must give. */
const TEXTS = [
  ['invalid bytes', bytes('{"text": "a', [0xff, 0xfe], 'b"}\n'), 'BAD_UTF8'],
  ['an overlong form', bytes('{"text": "', [0xc0, 0xaf], '"}\n'), 'BAD_UTF8'],
  ['a surrogate as bytes', bytes('{"text": "', [0xed, 0xa0, 0x80], '"}\n'), 'BAD_UTF8'],
  ['UTF-16', Buffer.from(record('abc'), 'utf16le'), /^BAD_/],
  ['UTF-16 with its mark', Buffer.from(`\ufeff${record('abc')}`, 'utf16le'), 'BAD_UTF8'],
  ['a byte order mark', bytes([0xef, 0xbb, 0xbf], record('abc')), 'BYTE_ORDER_MARK'],
  ['half a surrogate pair as an escape', bytes('{"text": "a\\ud800b"}\n'), 'LONE_SURROGATE'],
  ['a cut character at the end', bytes('{"text": "a', [0xe2, 0x82]), 'BAD_UTF8'],
  ['CRLF', bytes('{"text": "one"}\r\n{"text": "two"}\r\n'), ['one', 'two']],
  ['a lone CR between records', bytes('{"text": "one"}\r{"text": "two"}\n'), 'BAD_JSON'],
  ['U+2028, U+2029, U+0085', bytes(record('a\u2028b\u2029c\u0085d')), ['a\u2028b\u2029c\u0085d']],
  ['no final newline', bytes('{"text": "one"}\n{"text": "two"}'), ['one', 'two']],
  ['a replacement character that was there', bytes(record('a\ufffdb')), ['a\ufffdb']],
]

export const strictText = {
  id: '13',
  title: 'Text is strict UTF-8 and lines end at 0x0A only',
  tested:
    'Thirteen ways to break bytes and lines, plain and as gzip: the exact text or an error, never U+FFFD',
  async run({ workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    for (const [i, [title, content, expected]] of TEXTS.entries()) {
      for (const extension of ['jsonl', 'jsonl.gz']) {
        const name = `text-${i}.${extension}`
        workshop.put(name, extension.endsWith('gz') ? gzipSync(content) : content)
        tally.add(`${title} (${extension})`, await readProblem(workshop, name, expected))
      }
    }
    const ended = await workshop.train('bad', ['data.train=[text-0.jsonl]'])
    const isShown = ended.code === 3 && ended.stderr.includes('text-0.jsonl:1')
    tally.add(
      'invalid bytes, through the command',
      !isShown && `expected exit 3 with file and line, got ${describeEnd(ended)}`,
    )
    return { ...tally, figure: `${tally.share} cases exact or refused` }
  },
}

async function readProblem(workshop, name, expected) {
  try {
    const texts = []
    for await (const document of readDocuments(await resolveSources([{ path: name }], workshop.root)))
      texts.push(document.content.text)
    if (!Array.isArray(expected)) return `read as ${JSON.stringify(texts)}`
    return JSON.stringify(texts) !== JSON.stringify(expected) && `read as ${JSON.stringify(texts)}`
  } catch (error) {
    if (Array.isArray(expected)) return error.message
    const fits = typeof expected === 'string' ? error.code === expected : expected.test(error.code)
    return !fits && `expected ${expected}, got ${error.code}: ${error.message}`
  }
}

/** Cases without anything to train on, with the assignments that make them so. */
const EMPTY = [
  ['zero bytes', '', []],
  ['blank lines', '\n \n\n', []],
  ['no valid record', '{"other": 1}\n', []],
  ['an empty gzip member', gzipSync(''), [], 'gz'],
  ['fewer rows than one global batch', record('the data'), ['training.dataloader_drop_last=true']],
  ['only prompts', lines([{ prompt: sentence(1).repeat(9), completion: ' x' }]), ['data.max_length=8']],
]

export const emptyInputs = {
  id: '14',
  title: 'Empty inputs fail before the model is built',
  tested:
    'Zero bytes, blank lines, no valid record, empty gzip, fewer rows than one batch, prompts only: a typed exit',
  async run({ workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const times = await inParallel(EMPTY, async ([title, content, set, extension], i) => {
      const name = `empty-${i}.jsonl${extension ? `.${extension}` : ''}`
      workshop.put(name, content)
      const ended = await workshop.train(`empty-${i}`, [`data.train=[${name}]`, ...set])
      const isTyped = ended.code === 3 && /^error: [^\n]*\n$/.test(ended.stderr)
      tally.add(title, !isTyped && `expected exit 3 with one line, got ${describeEnd(ended)}`)
      return ended.ms
    })
    return {
      ...tally,
      figure: `${tally.share} typed exits, slowest ${seconds(quantile(times, 1))} with its start`,
    }
  },
}

const NUM_RECORDS = 10_000
const BAD_LINE = 5_000

export const badRecords = {
  id: '11',
  title: 'A corrupt line is an error with file, line and byte offset, or counted skips within a budget',
  tested:
    'One bad line in 10,000 under each policy; more than the budget; a skipping run stopped and gone on with, at the digest of ' +
    'its control',
  async run({ workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const good = Array.from({ length: NUM_RECORDS }, (_, i) => record(sentence(i)))
    const bad = [...good]
    bad[BAD_LINE - 1] = '{"text": "cut\n'
    workshop.put('bad.jsonl', bad.join(''))
    workshop.put('worse.jsonl', bad.map((line, i) => (i % 100 === 3 ? 'x\n' : line)).join(''))
    const offset = Buffer.byteLength(good.slice(0, BAD_LINE - 1).join(''))
    const short = [
      'training.max_steps=12',
      'training.save_steps=4',
      'evaluation={}',
      'data.train=[bad.jsonl]',
      'method=uniform',
    ]
    const strict = await workshop.train('strict', short)
    const said = `bad.jsonl:${BAD_LINE} (byte ${offset})`
    tally.add(
      'the default',
      !(strict.code === 3 && strict.stderr.includes(said)) &&
        `expected exit 3 at ${said}, got ${describeEnd(strict)}`,
    )
    await skipping(workshop, tally, short)
    return { ...tally, figure: `${tally.share} outcomes as promised, 1 bad line in ${NUM_RECORDS}` }
  },
}

/** A budget of bad records that holds, and one that does not. */
async function skipping(workshop, tally, short) {
  const skip = [...short, 'data.max_bad_records=3']
  const control = await workshop.train('skip', skip)
  if (!tally.add('skip', control.code !== 0 && describeEnd(control))) return
  const said = `${control.stdout}${control.stderr}`
  tally.add(
    'skips are counted',
    !/\b1 (bad )?records?\b|skipped 1\b/.test(said) && `nothing said of one: ${said.slice(0, 300)}`,
  )
  await stopAt(workshop, 'skip-stopped', 6, skip)
  const ended = await workshop.train('skip-stopped', skip)
  const parts =
    ended.code === 0 &&
    difference(
      await digestRun(workshop.runFolder('skip')),
      await digestRun(workshop.runFolder('skip-stopped')),
    )
  tally.add(
    'a skipping run that was stopped',
    ended.code !== 0 ? describeEnd(ended) : parts && `differs in ${parts}`,
  )
  const worse = await workshop.train('worse', [...skip, 'data.train=[worse.jsonl]'])
  tally.add('more than the budget', worse.code !== 3 && `expected exit 3, got ${describeEnd(worse)}`)
}

export const damagedGzip = {
  id: '12',
  title: 'Truncated or damaged gzip is never read as complete',
  tested:
    'A gzip file of two members cut at every byte and with each byte of its trailers changed: an error, or all records',
  async run({ mode, workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const halves = [
      [0, 1, 2],
      [3, 4, 5],
    ].map((part) => gzipSync(part.map((i) => record(sentence(i))).join('')))
    const whole = Buffer.concat(halves)
    const boundary = halves[0].length
    const stride = mode === 'full' ? 1 : 7
    const complete = await countRecords(workshop, whole)
    tally.add('the whole file', complete !== 6 && `${complete ?? 'no'} records read`)
    let atBoundary = 'an error'
    const cuts = Array.from({ length: Math.ceil(whole.length / stride) }, (_, i) => i * stride)
    for (const cut of new Set([...cuts, boundary - 1, boundary, boundary + 1])) {
      const count = await countRecords(workshop, whole.subarray(0, cut))
      // A file cut exactly between members is a whole file of fewer members: only a manifest could tell.
      if (cut === boundary) atBoundary = count === undefined ? 'an error' : `${count} of 6 records`
      else
        tally.add(
          `cut at ${cut} of ${whole.length}`,
          count !== undefined && `read as complete with ${count} records`,
        )
    }
    for (let i = 1; i <= 8; i++) {
      for (const end of [boundary, whole.length]) {
        const changed = Buffer.from(whole)
        changed[end - i] ^= 1
        const count = await countRecords(workshop, changed)
        tally.add(
          `trailer byte ${end - i} changed`,
          count !== undefined && `read as complete with ${count} records`,
        )
      }
    }
    return { ...tally, figure: `${tally.share} refused; cut exactly between members: ${atBoundary}` }
  },
}

async function countRecords(workshop, content) {
  workshop.put('cut.jsonl.gz', content)
  let count = 0
  try {
    for await (const _ of readDocuments(await resolveSources([{ path: 'cut.jsonl.gz' }], workshop.root)))
      count++
    return count
  } catch (error) {
    if (error.name !== 'DataError') throw error
    return undefined
  }
}
