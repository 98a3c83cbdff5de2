// Makes everything under examples/ that is data: node tools/data/make-corpus.mjs
// Needs Debian or Ubuntu's apt-get and dpkg, npm, tar and gzip; packages are pinned in sources.mjs, and the same
// packages give the same bytes. Packages are kept in the folder named by ADAPT_DATA_WORK, if set.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkExamples } from './check-corpus.mjs'
import { cleanDocuments } from './clean.mjs'
import { hashOrder } from './deterministic.mjs'
import { ngramSet } from './ngrams.mjs'
import { makeNoise } from './noise.mjs'
import { writeNotices } from './notices.mjs'
import { fetchPackages } from './packages.mjs'
import { commandTitles, makeQuestions } from './questions.mjs'
import { readSources } from './readers.mjs'
import { writeRecords } from './records.mjs'
import { NOISE, SOURCES } from './sources.mjs'
import { splitSources } from './splits.mjs'
import { trainTokenizer } from './train-tokenizer.mjs'
import { writeTables } from './write-tables.mjs'

const EXAMPLES = join(dirname(fileURLToPath(import.meta.url)), '../../examples')
const VOCABULARY = 2048
const QUESTIONS = { train: 80, heldout: 40 } // at most, a source

const textsOf = (documents) => documents.map(({ text }) => text)
const asRecord = ({ id, text, source }) => ({ id, text, source })

function emptyFolder(name) {
  const folder = join(EXAMPLES, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  return folder
}

const keepsWork = process.env.ADAPT_DATA_WORK !== undefined
const work = process.env.ADAPT_DATA_WORK ?? mkdtempSync(join(tmpdir(), 'adapt-data-'))
mkdirSync(work, { recursive: true })

const roots = fetchPackages(work)
const bySource = new Map()
for (const [name, documents] of readSources(roots)) {
  const { documents: kept, dropped } = cleanDocuments(documents)
  bySource.set(name, kept)
  console.log(`${name}: ${kept.length} documents; dropped ${JSON.stringify(dropped)}`)
}

const splits = splitSources(bySource, SOURCES)
const every = (split) => [...splits.values()].flatMap((each) => each[split])
const heldOutRuns = ngramSet(textsOf([...every('heldout'), ...every('anchors')]))
const surplus = hashOrder(every('surplus'), ({ id }) => `noise base ${id}`)
const numHeldoutBases = Math.floor(surplus.length / 10)
const heldoutNoise = makeNoise({
  documents: surplus.slice(0, numHeldoutBases),
  characters: NOISE.heldoutCharacters,
  forbidden: ngramSet(textsOf([...every('train'), ...every('anchors')])),
  label: 'heldout',
})
const trainNoise = makeNoise({
  documents: surplus.slice(numHeldoutBases),
  characters: NOISE.trainCharacters,
  forbidden: new Set([...heldOutRuns, ...ngramSet(textsOf(heldoutNoise))]),
  label: 'train',
})

const corpus = emptyFolder('corpus')
const heldout = emptyFolder('heldout')
const anchors = emptyFolder('anchors')
for (const { name } of SOURCES) {
  const split = splits.get(name)
  writeRecords(join(corpus, `${name}.jsonl.gz`), split.train.map(asRecord))
  writeRecords(join(heldout, `${name}.jsonl`), split.heldout.map(asRecord))
  if (split.anchors.length > 0) {
    writeRecords(
      join(anchors, `${name}.jsonl`),
      split.anchors.map(({ id, text }) => ({ id, text })),
    )
  }
}
const byHash = (documents) => hashOrder(documents, ({ id }) => `document ${id}`).map(asRecord)
writeRecords(join(corpus, `${NOISE.name}.jsonl.gz`), byHash(trainNoise))
writeRecords(join(heldout, `${NOISE.name}.jsonl`), byHash(heldoutNoise))

const titles = commandTitles([...bySource.values()].flat())
const questions = emptyFolder('qa')
const heldoutQuestions = makeQuestions({
  documents: [...every('heldout'), ...every('heldoutSpare')],
  titles,
  perSource: QUESTIONS.heldout,
  forbidden: ngramSet(textsOf([...every('train'), ...every('anchors')])),
})
const trainQuestions = makeQuestions({
  documents: every('train'),
  titles,
  perSource: QUESTIONS.train,
  forbidden: ngramSet([
    ...textsOf(every('heldout')),
    ...heldoutQuestions.map((each) => each.prompt + each.completion),
  ]),
})
writeRecords(join(questions, 'qa.heldout.jsonl'), heldoutQuestions)
writeRecords(join(questions, 'qa.train.jsonl'), trainQuestions)

trainTokenizer({
  texts: textsOf(every('train')),
  size: VOCABULARY,
  output: emptyFolder('tokenizer'),
  workFolder: work,
})
writeNotices(roots, join(EXAMPLES, 'licenses'))
const report = await checkExamples(EXAMPLES)
writeTables(EXAMPLES, report)
if (!keepsWork) rmSync(work, { recursive: true, force: true })
