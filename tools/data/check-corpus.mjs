// Checks the data under examples/ and prints its figures: node tools/data/check-corpus.mjs
// Needs no network: it reads only what ships.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Tokenizer } from 'tokenizers'
import { sha256 } from './deterministic.mjs'
import { ngramSet, overlaps } from './ngrams.mjs'
import { readRecords } from './records.mjs'

const FOLDERS = ['corpus', 'anchors', 'heldout', 'qa']
const MAX_BYTES = 5_000_000
// Awkward strings a byte-level tokenizer must give back unchanged.
const HARD_TEXTS = [
  '',
  ' ',
  '\n\n\t x',
  'naïve café — “quoted”',
  '日本語テキスト',
  '👩‍👩‍👧',
  "don't  stop\r\n",
  '\u0000\u007f\ufeff',
]

const textOf = (record) => record.text ?? record.prompt + record.completion

function folderBytes(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.reduce((total, entry) => total + statSync(join(entry.parentPath, entry.name)).size, 0)
}

/** Encodes texts and decodes them again. @returns the number of tokens. @throws if a text does not come back. */
async function countTokens(tokenizer, texts, label) {
  let total = 0
  const encodings = await tokenizer.encodeBatch(texts, { addSpecialTokens: false })
  const ids = encodings.map((encoding) => encoding.getIds())
  const decoded = await tokenizer.decodeBatch(ids, false)
  texts.forEach((text, i) => {
    if (decoded[i] !== text) throw new Error(`${label}: record ${i} does not survive encoding and decoding`)
    total += ids[i].length
  })
  return total
}

/**
 * Checks ids, lengths, overlap between splits, the tokenizer's round trip and the size of the whole.
 * @returns Figures of each file: `{ path, source, records, bytes, unpacked, tokens, sha256 }`.
 */
export async function checkExamples(examples) {
  const tokenizer = Tokenizer.fromFile(join(examples, 'tokenizer/tokenizer.json'))
  await countTokens(tokenizer, HARD_TEXTS, 'awkward strings')
  const files = []
  const texts = { corpus: [], anchors: [], heldout: [], qa: [] }
  const ids = new Set()
  for (const folder of FOLDERS) {
    for (const name of readdirSync(join(examples, folder)).sort()) {
      const path = join(examples, folder, name)
      const records = readRecords(path)
      for (const { id } of records) {
        if (ids.has(id)) throw new Error(`${folder}/${name}: the id ${id} occurs twice`)
        ids.add(id)
      }
      const all = records.map(textOf)
      const short = records.find(
        (record) => record.text !== undefined && (record.text.length < 250 || record.text.length > 4000),
      )
      if (short !== undefined)
        throw new Error(`${folder}/${name}: ${short.id} has ${short.text.length} characters`)
      texts[folder].push(...all)
      files.push({
        path: `${folder}/${name}`,
        source: name.replace(/\.jsonl(\.gz)?$/, ''),
        records: records.length,
        bytes: statSync(path).size,
        unpacked: all.reduce((total, text) => total + Buffer.byteLength(text), 0),
        tokens: await countTokens(tokenizer, all, `${folder}/${name}`),
        sha256: sha256(readFileSync(path)),
      })
    }
  }
  const trained = ngramSet(texts.corpus)
  const anchored = ngramSet(texts.anchors)
  for (const text of texts.heldout) {
    if (overlaps(text, trained) || overlaps(text, anchored))
      throw new Error(`held-out text shares 13 words: ${text.slice(0, 80)}`)
  }
  for (const text of texts.anchors) {
    if (overlaps(text, trained))
      throw new Error(`anchor text shares 13 words with training text: ${text.slice(0, 80)}`)
  }
  const bytes = folderBytes(examples)
  if (bytes > MAX_BYTES) throw new Error(`examples/ has ${bytes} bytes, expected at most ${MAX_BYTES}`)
  return { files, bytes }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { files, bytes } = await checkExamples(
    join(dirname(fileURLToPath(import.meta.url)), '../../examples'),
  )
  for (const each of files) {
    console.log(
      `${each.path}: ${each.records} records, ${each.bytes} bytes, ${each.unpacked} unpacked, ${each.tokens} tokens`,
    )
  }
  console.log(`examples/: ${bytes} bytes; ids, overlap and round trip are as they should be`)
}
