// Deliberately bad text, made from documents that no other file holds. The kind is part of the record's id.

import { createRandom, shuffled } from './deterministic.mjs'
import { overlaps } from './ngrams.mjs'

const pick = (items, random) => items[Math.floor(random() * items.length)]
const wordsOf = (text) => text.split(/\s+/).filter((word) => word !== '')

/** Breaks words into lines of about 80 characters. */
function wrapWords(words) {
  const lines = ['']
  for (const word of words) {
    if (lines.at(-1).length + word.length > 80) lines.push(word)
    else lines[lines.length - 1] += lines.at(-1) === '' ? word : ` ${word}`
  }
  return lines.join('\n')
}

/** Runs of 2 to 6 words from random places of several documents. */
function fragments(documents, count, random) {
  return Array.from({ length: count }, () => {
    const words = wordsOf(pick(documents, random).text)
    const length = 2 + Math.floor(random() * 5)
    const start = Math.floor(random() * Math.max(1, words.length - length))
    return words.slice(start, start + length)
  })
}

// What UTF-8 looks like after it was read as Latin-1 once or twice.
const MISREAD = ['â€™', 'â€œ', 'â€\u009d', 'Ã©', 'Ã¨', 'Â ', 'Ã¼', 'ï¿½', 'â€“', 'Ã\u0192Â©', 'Ð°', 'Å¡'].map(
  (each) => each.replace(/[\u0080-\u009f]/g, '¿'),
)

/** Each maker turns one document (and some others to draw from) into one bad document. */
const MAKERS = {
  /** The words of a document in random order. */
  'word-shuffle': ({ document, random }) => wrapWords(shuffled(wordsOf(document.text), random)),

  /** The letters of each word in random order, with letters lost and doubled. */
  'letter-scramble': ({ document, random }) =>
    document.text.replace(/[A-Za-z]{2,}/g, (word) =>
      shuffled([...word], random)
        .map((letter) => (random() < 0.05 ? '' : random() < 0.05 ? letter + letter : letter))
        .join(''),
    ),

  /** Broken lines of many documents one under the other. */
  'line-salad': ({ others, random }) => {
    const lines = fragments(others, 24 + Math.floor(random() * 16), random)
    return lines
      .map((words, i) => words.join(' ') + (i % 3 === 0 ? ' ...' : i % 5 === 0 ? ' |' : ''))
      .join('\n')
  },

  /** The same few navigation-like lines again and again. */
  boilerplate: ({ others, random }) => {
    const titles = fragments(others, 4 + Math.floor(random() * 4), random).map((words) => words.join(' '))
    const block = [
      `Home > ${titles[0]} > ${titles[1]}`,
      pick(
        ['Previous | Next | Share', 'Print this page | Top', 'Skip to content', 'Log in | Register'],
        random,
      ),
      ...titles.slice(2).map((title) => `* ${title} (read more)`),
      pick(
        ['Accept all cookies', 'Subscribe now!', 'Click here to continue', 'All prices include tax'],
        random,
      ),
    ]
    const repeats = 3 + Math.floor(random() * 4)
    return Array.from({ length: repeats }, (_, i) =>
      [...block, `Page ${i + 1} of ${repeats}`].join('\n'),
    ).join('\n\n')
  },

  /** Base64 or a hexadecimal dump of (part of) a document. */
  encoded: ({ document, random }) => {
    const bytes = Buffer.from(document.text)
    if (random() < 0.5)
      return bytes
        .subarray(0, 700)
        .toString('base64')
        .match(/.{1,76}/g)
        .join('\n')
    const rows = bytes
      .subarray(0, 320)
      .toString('hex')
      .match(/.{1,32}/g)
    return rows
      .map((row, i) => `${(i * 16).toString(16).padStart(8, '0')}  ${row.match(/.{1,4}/g).join(' ')}`)
      .join('\n')
  },

  /** Short runs of two documents in turn, sprinkled with wrongly decoded characters. */
  mojibake: ({ document, others, random }) => {
    const texts = [wordsOf(document.text), wordsOf(pick(others, random).text)]
    const words = []
    while (words.length < 160 && texts.every((each) => each.length > 0)) {
      words.push(...texts[words.length % 2].splice(0, 2 + Math.floor(random() * 4)))
    }
    const spoilt = words.map((word) => {
      if (random() > 0.3) return word
      const at = Math.floor(random() * (word.length + 1))
      return word.slice(0, at) + pick(MISREAD, random) + word.slice(at + 1)
    })
    return wrapWords(spoilt)
  },
}

/**
 * Makes noise until each kind has its share of the wanted characters.
 * @param documents   Surplus documents in a fixed order; each is the base of at most one bad document.
 * @param characters  Total characters wanted.
 * @param forbidden   Runs of 13 words that no bad document may hold.
 * @param label       Becomes part of the seed and of the ids: noise/KIND/LABEL-00001.
 */
export function makeNoise({ documents, characters, forbidden, label }) {
  const kinds = Object.keys(MAKERS)
  const made = []
  let next = 0
  for (const kind of kinds) {
    let total = 0
    for (let number = 1; total < characters / kinds.length; number += 1) {
      const id = `noise/${kind}/${label}-${String(number).padStart(4, '0')}`
      const random = createRandom(id)
      const document = documents[next % documents.length]
      next += 1
      const text = MAKERS[kind]({ document, others: documents, random }).slice(0, 2400).trimEnd()
      if (number > 20_000) throw new Error(`noise: cannot make enough ${kind} without overlap`)
      if (text.length < 300 || overlaps(text, forbidden)) continue
      made.push({ id, source: 'noise', group: id, text })
      total += text.length
    }
  }
  return made
}
