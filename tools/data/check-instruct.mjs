// Checks the conversations under examples/instruct and prints their figures: node tools/data/check-instruct.mjs

import { readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { conversationText } from './instructions.mjs'
import { ngramSet, overlaps } from './ngrams.mjs'
import { readRecords } from './records.mjs'

const MAX_BYTES = 400_000

/**
 * Checks ids, the order of the roles and that training, anchors and held-out conversations share no run of 13 words
 * and no question; prints records and characters of each file.
 * @throws if something is not as it should be.
 */
export function checkInstruct(examples) {
  const folder = join(examples, 'instruct')
  const files = [
    ...readdirSync(join(folder, 'train')).map((name) => `train/${name}`),
    ...readdirSync(join(folder, 'heldout')).map((name) => `heldout/${name}`),
    'anchors.jsonl',
  ].sort()
  const ids = new Set()
  const parts = { train: [], heldout: [], anchors: [] }
  let bytes = 0
  for (const file of files) {
    const records = readRecords(join(folder, file))
    if (records.length === 0) throw new Error(`instruct/${file}: no records`)
    for (const { id, messages } of records) {
      if (ids.has(id)) throw new Error(`instruct/${file}: the id ${id} occurs twice`)
      ids.add(id)
      const roles = messages.map(({ role }) => role).join(' ')
      if (!/^user assistant( user assistant)*$/.test(roles)) throw new Error(`${id}: roles ${roles}`)
      if (messages.some(({ content }) => content.trim() === '')) throw new Error(`${id}: an empty message`)
    }
    parts[file.split(/[/.]/)[0]].push(...records)
    const size = statSync(join(folder, file)).size
    bytes += size
    const characters = records.reduce((sum, record) => sum + conversationText(record).length, 0)
    console.log(`instruct/${file}: ${records.length} records, ${size} bytes, ${characters} characters`)
  }
  const pairs = [
    ['train', 'heldout'],
    ['train', 'anchors'],
    ['anchors', 'heldout'],
  ]
  for (const [one, other] of pairs) {
    const runs = ngramSet(parts[other].map(conversationText))
    const questions = new Set(parts[other].map(({ messages }) => messages[0].content))
    for (const record of parts[one]) {
      if (overlaps(conversationText(record), runs) || questions.has(record.messages[0].content))
        throw new Error(`${record.id} shares text with ${other}`)
    }
  }
  if (bytes > MAX_BYTES)
    throw new Error(`examples/instruct has ${bytes} bytes, expected at most ${MAX_BYTES}`)
  console.log(`instruct/: ${bytes} bytes; ids, roles and overlap are as they should be`)
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  checkInstruct(join(dirname(fileURLToPath(import.meta.url)), '../../examples'))
}
