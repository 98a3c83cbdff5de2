// Questions and answers read off the structure of the documents: command summaries, docstrings, definitions.

import { hashOrder } from './deterministic.mjs'
import { overlaps } from './ngrams.mjs'

/** The first sentence of a text on one line, or undefined if it is not 12 to 260 characters long. */
function firstSentence(text) {
  const flat = text.replace(/\s+/g, ' ').trim()
  const end = /(?<!\b(?:e\.g|i\.e|etc|vs|cf|Inc|U\.S|esp|orig|prob|\d))[.](?=\s|$)/.exec(flat)
  if (end === null) return undefined
  const sentence = flat.slice(0, end.index + 1)
  const balanced = (sentence.match(/[([{“]/g)?.length ?? 0) === (sentence.match(/[)\]}”]/g)?.length ?? 0)
  return balanced && sentence.length >= 12 && sentence.length <= 260 ? sentence : undefined
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1)

/** For each source, document text to pairs [question, answer]. `title` is the SQL command of the page. */
const FINDERS = {
  'sql-commands': ({ text, title }) => {
    const pairs = []
    for (const [, name, purpose] of text.matchAll(/^([A-Z][A-Z ]+) — (\S[^\n]+)$/gm)) {
      pairs.push([`What does the SQL command ${name} do?`, `${capital(purpose)}.`])
    }
    if (title === undefined) return pairs
    for (const [, term, meaning] of text.matchAll(/^([A-Za-z_][A-Za-z_ ]{2,30})\n {4}(\S[^\n]+)$/gm)) {
      pairs.push([`In the SQL command ${title}, what is ${term}?`, firstSentence(meaning)])
    }
    return pairs
  },
  'python-code': ({ text, group }) => {
    const pairs = []
    for (const [, indent, name, summary] of text.matchAll(
      /^( {0,4})def ([a-z]\w+)\([^)]*\)[^\n]*:\n\s+r?"""\s*([^"]+?)(?:\n\s*\n|""")/gm,
    )) {
      const what =
        indent === '' ? `function \`${group}.${name}\`` : `method \`${name}\` in the module \`${group}\``
      pairs.push([`What does the Python ${what} do?`, firstSentence(summary)])
    }
    return pairs
  },
  'javascript-code': ({ text, id }) => {
    const pairs = []
    if (!id.includes('/lodash.')) return pairs
    for (const [, comment, name] of text.matchAll(
      /\/\*\*\n((?: *\* [^\n]*\n| *\*\n)+) *\*\/\n *function (\w+)\(/g,
    )) {
      if (!comment.includes('@memberOf _')) continue
      const summary = comment.split(/\n *\* ?(?:\n|@)/)[0].replace(/^ *\*/gm, ' ')
      pairs.push([`What does the lodash function \`_.${name}\` do?`, firstSentence(summary)])
    }
    return pairs
  },
  'node-manual': ({ text }) => {
    const pairs = []
    for (const [, call, body] of text.matchAll(
      /^#{2,4} `([\w.]+\([^`]*\))`\n([\s\S]*?)(?=\n#|$(?![\s\S]))/gm,
    )) {
      const prose = body.split(/\n{2,}/).find((part) => /^[A-Z`]/.test(part) && !part.includes('```'))
      if (prose !== undefined) pairs.push([`In Node.js, what does \`${call}\` do?`, firstSentence(prose)])
    }
    return pairs
  },
  'jargon-file': ({ text }) => {
    const pairs = []
    for (const entry of text.split('\n\n')) {
      const [head, grammar, meaning] = entry.split('\n')
      if (meaning === undefined || !/\b(n|v|vi|vt|adj)\./.test(grammar) || head.length > 40) continue
      const body = meaning.replace(/^(1\. )?(\[[^\]]*\] ?)*/, '')
      if (/^[A-Z]/.test(body))
        pairs.push([`In hacker slang, what does “${head.trim()}” mean?`, firstSentence(body)])
    }
    return pairs
  },
}

/** Page titles of the SQL commands by group, from the summary line at the start of each page. */
export function commandTitles(documents) {
  const titles = new Map()
  for (const { group, text } of documents) {
    const name = /^([A-Z][A-Z ]+) — /m.exec(text)?.[1]
    if (name !== undefined) titles.set(group, name)
  }
  return titles
}

/**
 * @param documents  Documents to draw from.
 * @param titles     From {@link commandTitles}.
 * @param perSource  At most this many records of one source.
 * @param forbidden  Runs of 13 words that no record may hold.
 * @returns Records `{ id, prompt, completion, source }` in a fixed shuffled order, no question twice.
 */
export function makeQuestions({ documents, titles, perSource, forbidden }) {
  const records = []
  const asked = new Set()
  for (const document of documents) {
    const pairs = FINDERS[document.source]?.({ ...document, title: titles.get(document.group) }) ?? []
    pairs.forEach(([question, answer], i) => {
      if (answer === undefined || asked.has(question) || overlaps(`${question} ${answer}`, forbidden)) return
      asked.add(question)
      const id = `qa/${document.id}/${i + 1}`
      records.push({
        id,
        prompt: `Question: ${question}\nAnswer:`,
        completion: ` ${answer}`,
        source: document.source,
      })
    })
  }
  const taken = {}
  return hashOrder(records, ({ id }) => id).filter(({ source }) => {
    taken[source] = (taken[source] ?? 0) + 1
    return taken[source] <= perSource
  })
}
