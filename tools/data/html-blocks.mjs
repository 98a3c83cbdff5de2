// HTML to plain-text blocks (paragraphs, headings, list items, preformatted text), enough for generated manuals.

const BLOCK_TAGS = new Set(
  'p div h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table tr blockquote section hr body'.split(' '),
)
const SKIPPED_TAGS = new Set(['head', 'script', 'style', 'svg', 'button'])
const VOID_TAGS = new Set(['br', 'hr', 'img', 'input', 'link', 'meta', 'col', 'wbr', 'area'])
// biome-ignore format: a table
const ENTITIES = {
  amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ', mdash: '—', ndash: '–', hellip: '…', copy: '©',
  lsquo: '‘', rsquo: '’', ldquo: '“', rdquo: '”', rarr: '→', larr: '←', le: '≤', ge: '≥', ne: '≠', times: '×',
}

function decodeEntities(text) {
  return text.replace(/&(#x?[0-9a-f]+|[a-z]+);/gi, (whole, name) => {
    if (!name.startsWith('#')) return ENTITIES[name] ?? whole
    const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10)
    return String.fromCodePoint(code)
  })
}

/**
 * @param html  A whole page.
 * @param skip  Called with (tag, attributes as text) of each start tag; true leaves the element out.
 * @returns Blocks in reading order: `text`, and `kind` ('text', 'heading', 'item', 'term', 'definition', 'pre').
 */
export function htmlBlocks(html, skip = () => false) {
  const blocks = []
  let text = ''
  let kind = 'text'
  let preDepth = 0
  let skipped = null // { tag, depth } of the element being left out
  const flush = (next) => {
    const body = preDepth > 0 ? text.replace(/^\n+|\s+$/g, '') : text.replace(/\s+/g, ' ').trim()
    if (body !== '') blocks.push({ kind: preDepth > 0 ? 'pre' : kind, text: body })
    text = ''
    kind = next
  }
  const pieces = html
    .replace(/<!--[\s\S]*?-->|<[?!][^>]*>/g, '')
    .matchAll(/<(\/?)([a-z][a-z0-9]*)([^>]*)>|([^<]+|<)/gi)
  for (const [, slash, rawTag, attributes, plain] of pieces) {
    if (rawTag === undefined) {
      if (skipped === null) text += decodeEntities(plain)
      continue
    }
    const tag = rawTag.toLowerCase()
    const opens = slash === '' && !VOID_TAGS.has(tag) && !attributes.endsWith('/')
    if (skipped !== null) {
      if (tag === skipped.tag) skipped.depth += slash === '/' ? -1 : opens ? 1 : 0
      if (skipped.depth === 0) skipped = null
      continue
    }
    if (opens && (SKIPPED_TAGS.has(tag) || skip(tag, attributes))) {
      skipped = { tag, depth: 1 }
    } else if (tag === 'pre') {
      flush('text')
      preDepth = Math.max(0, preDepth + (slash === '/' ? -1 : 1))
    } else if (tag === 'sup' && slash === '') {
      text += '^'
    } else if (tag === 'br') {
      text += preDepth > 0 ? '\n' : ' '
    } else if ((tag === 'td' || tag === 'th') && slash === '/') {
      text += ' | '
    } else if (preDepth === 0 && BLOCK_TAGS.has(tag)) {
      // A paragraph inside a list item or definition stays what its parent is until it has been written once.
      const inherits =
        (tag === 'p' || tag === 'div') && slash === '' && text.trim() === '' && kind !== 'heading'
      if (!inherits) flush(slash === '/' ? 'text' : kindOf(tag))
    }
  }
  flush('text')
  return blocks
}

function kindOf(tag) {
  if (/^h[1-6]$/.test(tag)) return 'heading'
  return { li: 'item', dt: 'term', dd: 'definition' }[tag] ?? 'text'
}

/** Writes blocks as text paragraphs; a term takes its definition along, a heading stays with what follows it. */
export function blockParagraphs(blocks) {
  const paragraphs = []
  let pending = ''
  for (const { kind, text } of blocks) {
    const body = text.replace(/( \|)+$/, '')
    if (kind === 'heading' || kind === 'term') {
      pending += `${body}\n`
      continue
    }
    const indent = kind === 'definition' && pending !== '' ? '    ' : ''
    const bullet = kind === 'item' ? '- ' : ''
    paragraphs.push(`${pending}${indent}${bullet}${body}`)
    pending = ''
  }
  return paragraphs
}
