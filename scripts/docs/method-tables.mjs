// The tables of docs/methods/README.md, written from the definitions of the methods: one source for what the page and the program say.

import path from 'node:path'
import { pathToFileURL } from 'node:url'

/** Relative to the project. */
export const METHODS_PAGE = 'docs/methods/README.md'

/** The page with its tables as the definitions have them. Needs the compiled package. */
export async function renderMethodTables(projectDir, page) {
  const { METHODS, SIGNALS, GATES, methodCard, partCard, describeNeeds } = await import(
    pathToFileURL(path.join(projectDir, 'packages/adapt/dist/catalog/index.js')).href
  )
  const cards = METHODS.map((method) => methodCard(method))
  const tables = {
    cells: cells(cards),
    methods: `${METHODS.length} methods, of ${SIGNALS.size} signals and ${GATES.size} gates.\n\n${table(
      ['method', 'what it does', 'scored', 'a score a', 'applied to', 'signal', 'gate', 'needs'],
      cards.map((card) => {
        const needs = describeNeeds(card.needs).join(', ') || 'nothing'
        const parts = [code(card.signal.kind), code(card.gate.kind)]
        return [link(card), card.about, card.cadence, card.unit, card.apply, ...parts, needs]
      }),
    )}`,
    signals: table(
      ['`method.signal.kind`', 'score', 'a score a', 'options (default)'],
      [...SIGNALS.values()].map((signal) => {
        const { kind, about, options } = partCard(signal)
        return [code(kind), about, signal.unit, options.map(showOption).join(', ') || 'none']
      }),
    ),
    gates: table(
      ['`method.gate.kind`', 'weight', 'of a score a', 'sees', 'applied to', 'options (default)'],
      [...GATES.values()].map((gate) => {
        const { kind, about, options } = partCard(gate)
        const sees = gate.view === 'batch' ? 'one score' : 'all scores of the step'
        const shown = options.map(showOption).join(', ') || 'none'
        return [code(kind), about, gate.units.join(', '), sees, gate.applies.join(', '), shown]
      }),
    ),
  }
  return Object.entries(tables).reduce((text, [name, rows]) => {
    const [begin, end] = [
      `<!-- ${name}: written by scripts/write-method-tables.mjs -->`,
      `<!-- end of ${name} -->`,
    ]
    const [start, stop] = [text.indexOf(begin), text.indexOf(end)]
    if (start < 0 || stop < start) throw new Error(`${METHODS_PAGE}: expected ${begin} ... ${end}`)
    return `${text.slice(0, start)}${begin}\n\n${rows}\n${text.slice(stop)}`
  }, page)
}

const CADENCES = ['never', 'once', 'every U', 'step']
const COLUMNS = [
  ['token, loss', ({ unit, apply }) => unit === 'token' && apply === 'loss'],
  ['sample, loss', ({ unit, apply }) => unit !== 'token' && apply === 'loss'],
  ['sample, mask', ({ apply }) => apply === 'mask'],
  ['sample, drawn', ({ apply, draws }) => apply === 'sample' && draws === 'samples'],
  ['source, drawn', ({ apply, draws }) => apply === 'sample' && draws === 'sources'],
]

/** Methods by when they score (down) and by what a score belongs to and does (across). */
function cells(cards) {
  const rows = CADENCES.map((cadence) => [
    cadence,
    ...COLUMNS.map(([, holds]) =>
      cards
        .filter((card) => card.cadence === cadence && holds(card))
        .map(link)
        .join(', '),
    ),
  ])
  const placed = cards.filter((card) => COLUMNS.filter(([, holds]) => holds(card)).length === 1)
  if (placed.length < cards.length) throw new Error('expected one cell for every method')
  return table(['scored', ...COLUMNS.map(([heading]) => heading)], rows)
}

function link({ id, page }) {
  return `[${id}](${path.posix.relative('docs/methods', page)})`
}

function table(headings, rows) {
  const line = (cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
  return `${line(headings)}|${'---|'.repeat(headings.length)}\n${rows.map(line).join('')}`
}

function showOption({ key, fallback }) {
  return `${code(key)} (${code(typeof fallback === 'string' ? fallback : JSON.stringify(fallback))})`
}

function code(text) {
  return text === '' ? 'none' : `\`${text}\``
}
