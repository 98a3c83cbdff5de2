// Conversations read off the structure of the shipped texts: pairs of an instruction and its answer, by source.

import { createRandom, shuffled } from './deterministic.mjs'

const LONGEST = 420

/** Whole sentences from the start of a text on one line, up to {@link LONGEST} characters; undefined when there are none. */
function firstSentences(text) {
  const flat = text.replace(/\s+/g, ' ').trim()
  let end = 0
  for (const match of flat.matchAll(
    /(?<!\b(?:e\.g|i\.e|etc|vs|cf|Inc|U\.S|esp|orig|prob|\d))[.](?=\s+[A-Z`“]|$)/g,
  )) {
    if (match.index + 1 > LONGEST) break
    end = match.index + 1
  }
  const taken = flat.slice(0, end)
  const count = (pattern) => taken.match(pattern)?.length ?? 0
  return taken.length >= 20 && count(/[([{“]/g) === count(/[)\]}”]/g) ? taken : undefined
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1)
const isShort = (text) => text.length <= LONGEST

/** What stands under a heading of a manual page, up to the next heading. */
function sectionOf(text, heading) {
  const found = new RegExp(`^${heading}\\n([\\s\\S]+?)(?=\\n\\n[A-Z][A-Za-z ]+\\n|$(?![\\s\\S]))`, 'm').exec(
    text,
  )
  return found?.[1].trim()
}

/** Terms with an indented explanation under them. */
function definitions(text) {
  return [...text.matchAll(/^([A-Za-z_][\w ./-]{1,40}?)(?: \([\w ]+\))?\n {4}(\S[^\n]+)$/gm)].map(
    ([, term, meaning]) => [term, meaning],
  )
}

/**
 * For each source, a document to turns: lists of `[instruction, answer]`, several when the second asks on.
 * Every instruction has some wordings; which one is taken is a function of the document.
 */
const FINDERS = {
  'sql-commands': ({ text, title, choose }) => {
    const turns = []
    const summary = /^([A-Z][A-Z ]+) — (\S[^\n]+)$/m.exec(text)
    const synopsis = sectionOf(text, 'Synopsis')
    const command = summary?.[1] ?? title
    if (command === undefined) return turns
    if (summary !== null) {
      const first = [
        choose([
          `What does the SQL command ${command} do?`,
          `What is ${command} for in SQL?`,
          `Explain the SQL command ${command} in one line.`,
        ]),
        `${capital(summary[2])}.`,
      ]
      const asksOn = synopsis !== undefined && isShort(synopsis)
      turns.push(asksOn ? [first, [choose(['Give its synopsis.', 'How is it written?']), synopsis]] : [first])
    }
    const description = sectionOf(text, 'Description')?.split('\n\n')[0]
    if (description !== undefined)
      turns.push([[`Describe the SQL command ${command}.`, firstSentences(description)]])
    const notes = sectionOf(text, 'Notes')?.split('\n\n')[0]
    if (notes !== undefined) turns.push([[`What is worth knowing about ${command}?`, firstSentences(notes)]])
    for (const [term, meaning] of definitions(text)) {
      turns.push([
        [
          choose([
            `In the SQL command ${command}, what is ${term}?`,
            `Explain ${term} of the SQL command ${command}.`,
          ]),
          firstSentences(meaning),
        ],
      ])
    }
    const example = sectionOf(text, 'Examples?')
    if (example !== undefined && isShort(example)) {
      turns.push([[`Show an example of the SQL command ${command}.`, example]])
    }
    return turns
  },
  'postgres-manual': ({ text, choose }) =>
    definitions(text).map(([term, meaning]) => [
      [
        choose([`In PostgreSQL, what is ${term}?`, `Explain ${term} as the PostgreSQL manual does.`]),
        firstSentences(meaning),
      ],
    ]),
  'sqlite-manual': ({ text, choose }) => {
    const [title, ...rest] = text.split('\n')
    const prose = rest
      .join('\n')
      .split(/\n{2,}/)
      .find((part) => /^[A-Z]/.test(part) && !part.includes('#define'))
    const turns = []
    if (prose !== undefined && /^[A-Z][\w ,'-]+$/.test(title)) {
      turns.push([
        [
          choose([`In SQLite, explain: ${title}.`, `What does the SQLite manual say about “${title}”?`]),
          firstSentences(prose),
        ],
      ])
    }
    for (const [, heading, body] of text.matchAll(/^\d+(?:\.\d+)*\.? ([A-Z][\w ,'-]+)\n([A-Z][^\n]+)$/gm)) {
      turns.push([[`What does the SQLite manual say about “${heading}”?`, firstSentences(body)]])
    }
    return turns
  },
  'node-manual': ({ text, choose }) =>
    [...text.matchAll(/^#{2,4} `([\w.]+\([^`]*\))`\n([\s\S]*?)(?=\n#|$(?![\s\S]))/gm)].map(
      ([, call, body]) => {
        const prose = body.split(/\n{2,}/).find((part) => /^[A-Z`]/.test(part) && !part.includes('```'))
        const question = choose([`In Node.js, what does \`${call}\` do?`, `Explain \`${call}\` of Node.js.`])
        return [[question, prose === undefined ? undefined : firstSentences(prose)]]
      },
    ),
  'python-code': ({ text, group, choose }) =>
    [...text.matchAll(/^( {0,4})def ([a-z]\w+)\([^)]*\)[^\n]*:\n\s+r?"""\s*([^"]+?)(?:\n\s*\n|""")/gm)].map(
      ([, indent, name, summary]) => {
        const what =
          indent === '' ? `function \`${group}.${name}\`` : `method \`${name}\` in the module \`${group}\``
        return [
          [
            choose([`What does the Python ${what} do?`, `Document the Python ${what}.`]),
            firstSentences(summary),
          ],
        ]
      },
    ),
  'javascript-code': ({ text, id, choose }) => {
    if (!id.includes('/lodash.')) return []
    return [...text.matchAll(/\/\*\*\n((?: *\* [^\n]*\n| *\*\n)+) *\*\/\n *function (\w+)\(/g)]
      .filter(([, comment]) => comment.includes('@memberOf _'))
      .map(([, comment, name]) => {
        const summary = comment.split(/\n *\* ?(?:\n|@)/)[0].replace(/^ *\*/gm, ' ')
        const question = choose([
          `What does the lodash function \`_.${name}\` do?`,
          `Document \`_.${name}\` of lodash.`,
        ])
        return [[question, firstSentences(summary)]]
      })
  },
  'jargon-file': ({ text, choose }) =>
    text.split('\n\n').flatMap((entry) => {
      const [head, grammar, meaning] = entry.split('\n')
      if (meaning === undefined || !/\b(n|v|vi|vt|adj)\./.test(grammar) || head.length > 40) return []
      const body = meaning.replace(/^(1\. )?(\[[^\]]*\] ?)*/, '')
      if (!/^[A-Z]/.test(body)) return []
      const term = head.trim()
      return [
        [
          [
            choose([`In hacker slang, what does “${term}” mean?`, `Define “${term}” as a hacker would.`]),
            firstSentences(body),
          ],
        ],
      ]
    }),
  'king-james-bible': ({ text, choose }) => {
    const sentences = text.match(/[A-Z][^.?!]+[.?!]/g) ?? []
    const [opening, ...rest] = sentences
    if (opening === undefined || opening.length > 160) return []
    const question = choose([
      'Continue in the words of the King James Bible',
      'Go on as the King James Bible does',
    ])
    return [[[`${question}: ${opening.trim()}`, firstSentences(rest.join(' '))]]]
  },
}

/** Sources that conversations are made of. */
export const INSTRUCTION_SOURCES = Object.keys(FINDERS)

/**
 * @param documents  `{ id, text, source }` of the shipped files.
 * @param titles     Name of the SQL command by its page.
 * @returns Records `{ id, source, messages }` in the order of the documents; no instruction twice.
 */
export function makeConversations(documents, titles) {
  const asked = new Set()
  return documents.flatMap((document) => {
    const group = document.id.split('/')[1]
    let number = 0
    const random = createRandom(`wording ${document.id}`)
    const choose = (wordings) => wordings[Math.floor(random() * wordings.length)]
    const found = FINDERS[document.source]?.({ ...document, group, title: titles.get(group), choose }) ?? []
    return found.flatMap((turns) => {
      number += 1
      const key = turns[0][0]
      if (turns.some(([, answer]) => answer === undefined) || asked.has(key)) return []
      asked.add(key)
      const messages = turns.flatMap(([question, answer]) => [
        { role: 'user', content: question },
        { role: 'assistant', content: answer },
      ])
      return [{ id: `instruct/${document.id}/${number}`, source: document.source, messages }]
    })
  })
}

/** What is said in a conversation, one line a message. */
export const conversationText = ({ messages }) => messages.map(({ content }) => content).join('\n')

const wordsOf = (text) => text.split(/\s+/)

/** Ways to spoil an answer; the kind is part of the record's id. */
const SPOILERS = {
  /** The answer to another question, mostly on another subject. */
  mismatched: ({ other }) => other,
  /** The words of the answer in random order. */
  'word-shuffle': ({ answer, random }) => shuffled(wordsOf(answer), random).join(' '),
  /** The letters of each word in random order. */
  'letter-scramble': ({ answer, random }) =>
    answer.replace(/[A-Za-z]{2,}/g, (word) => shuffled([...word], random).join('')),
}

/** Conversations whose answers are of no use, one of each kind in turn. @param records  Of one turn or more; the first counts. */
export function spoilConversations(records) {
  const kinds = Object.keys(SPOILERS)
  return records.map(({ id, messages }, i) => {
    const kind = kinds[i % kinds.length]
    const random = createRandom(`spoil ${id}`)
    const answer = messages[1].content
    const other = records[(i + Math.floor(records.length / 2)) % records.length].messages[1].content
    return {
      id: `instruct/noise/${kind}/${id.slice('instruct/'.length)}`,
      source: 'noise',
      messages: [messages[0], { role: 'assistant', content: SPOILERS[kind]({ answer, other, random }) }],
    }
  })
}
