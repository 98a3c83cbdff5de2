// Makes examples/instruct/{train,heldout,anchors.jsonl} from the texts under examples/: node tools/data/make-instruct.mjs
// Needs nothing but what ships; the same texts give the same bytes.

import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkInstruct } from './check-instruct.mjs'
import { hashOrder } from './deterministic.mjs'
import {
  conversationText,
  INSTRUCTION_SOURCES,
  makeConversations,
  spoilConversations,
} from './instructions.mjs'
import { ngramSet, overlaps } from './ngrams.mjs'
import { commandTitles } from './questions.mjs'
import { readRecords, writeRecords } from './records.mjs'

const EXAMPLES = join(dirname(fileURLToPath(import.meta.url)), '../../examples')
const ANCHORED = 'sql-commands'
/** Conversations at most; the anchored source is a small part of the training data. */
const COUNTS = { anchored: 180, train: 320, noise: 500, anchors: 64, heldoutAnchored: 96, heldout: 40 }
/** A held-out set of fewer says nothing about a source. */
const LEAST_HELDOUT = 10

/** Documents of one folder of examples/, with the source that their file is named after. */
function readFolder(name) {
  const folder = join(EXAMPLES, name)
  return readdirSync(folder)
    .sort()
    .flatMap((file) => {
      const source = file.replace(/\.jsonl(\.gz)?$/, '')
      return readRecords(join(folder, file)).map(({ id, text }) => ({ id, text, source }))
    })
}

const withGroup = (documents) => documents.map((each) => ({ ...each, group: each.id.split('/')[1] }))
const [trainTexts, heldoutTexts, anchorTexts] = ['corpus', 'heldout', 'anchors'].map(readFolder)
const titles = commandTitles(withGroup([...trainTexts, ...heldoutTexts, ...anchorTexts]))
const inOrder = (records) => hashOrder(records, ({ id }) => id)
const runsOf = (records) => ngramSet(records.map(conversationText))
const questionOf = ({ messages }) => messages[0].content

// What is asked of the held-out texts is asked of them alone; anchors come next, training takes what is left.
const heldoutAll = inOrder(makeConversations(heldoutTexts, titles))
const taken = {}
const heldout = heldoutAll.filter(({ source }) => {
  taken[source] = (taken[source] ?? 0) + 1
  return taken[source] <= (source === ANCHORED ? COUNTS.heldoutAnchored : COUNTS.heldout)
})
const asked = new Set(heldout.map(questionOf))
const heldoutRuns = runsOf(heldout)
const anchors = inOrder(makeConversations(anchorTexts, titles))
  .filter((record) => !asked.has(questionOf(record)) && !overlaps(conversationText(record), heldoutRuns))
  .slice(0, COUNTS.anchors)
for (const record of anchors) asked.add(questionOf(record))
const forbidden = new Set([...heldoutRuns, ...runsOf(anchors)])
const isFree = (record) => !asked.has(questionOf(record)) && !overlaps(conversationText(record), forbidden)
const train = inOrder(makeConversations(trainTexts, titles)).filter(isFree)

const folders = { train: join(EXAMPLES, 'instruct/train'), heldout: join(EXAMPLES, 'instruct/heldout') }
for (const folder of Object.values(folders)) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
}
const surplus = []
for (const source of INSTRUCTION_SOURCES) {
  const own = train.filter((record) => record.source === source)
  const limit = source === ANCHORED ? COUNTS.anchored : COUNTS.train
  writeRecords(join(folders.train, `${source}.jsonl.gz`), own.slice(0, limit))
  if (source !== ANCHORED) surplus.push(...own.slice(limit))
  const unseen = heldout.filter((record) => record.source === source)
  if (unseen.length >= LEAST_HELDOUT) writeRecords(join(folders.heldout, `${source}.jsonl`), unseen)
}
const noise = spoilConversations(inOrder(surplus)).filter(isFree)
writeRecords(join(folders.train, 'noise.jsonl.gz'), noise.slice(0, COUNTS.noise))
writeRecords(
  join(EXAMPLES, 'instruct/anchors.jsonl'),
  anchors.map(({ id, messages }) => ({ id, source: ANCHORED, messages })),
)
console.log(`${surplus.length} conversations left for noise`)
checkInstruct(EXAMPLES)
