// One reader per source: the files of a package in, documents out. Documents of one `group` (page, module, chapter)
// always go to the same split.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { codeParts, packParts } from './chunk.mjs'
import { blockParagraphs, htmlBlocks } from './html-blocks.mjs'
import { NPM_PACKAGES } from './sources.mjs'

function listFiles(root, pattern) {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(root.length + 1)
        .replaceAll('\\', '/'),
    )
    .filter((path) => pattern.test(path))
    .sort()
}

function numbered(source, group, texts) {
  return texts.map((text, i) => ({
    id: `${source}/${group}/${String(i + 1).padStart(2, '0')}`,
    source,
    group,
    text,
  }))
}

// PostgreSQL ------------------------------------------------------------------------------------------------

const POSTGRES_HTML = 'usr/share/doc/postgresql-doc-15/html'
// Indexes, tables of names, release history and thanks: no prose, or lists of people.
const POSTGRES_LEFT_OUT =
  /^(index|bookindex|biblio|acronyms|release.*|acknowledgements|legalnotice|features.*|unsupported.*|errcodes.*|sql-keywords.*|git|resources|bug-.*|contrib-.*-author.*|docguide.*|sourcerepo|catalog.*|collation)$/
const skipNavigation = (tag, attributes) =>
  tag === 'div' && /class="(navheader|navfooter|toc|titlepage-toc)"/.test(attributes)

function readPostgres(root, source, isWanted) {
  const folder = join(root, POSTGRES_HTML)
  return listFiles(folder, /^[^/]*\.html$/).flatMap((file) => {
    const page = file.replace(/\.html$/, '')
    if (POSTGRES_LEFT_OUT.test(page) || !isWanted(page)) return []
    const blocks = htmlBlocks(readFileSync(join(folder, file), 'utf8'), skipNavigation)
    return numbered(source, page.replace(/^sql-/, ''), packParts(blockParagraphs(blocks)))
  })
}

const isSqlCommand = (page) => /^sql-(?!commands$|syntax|expressions)/.test(page)

// SQLite ----------------------------------------------------------------------------------------------------

const SQLITE_LEFT_OUT =
  /^(doc_|releaselog|consortium|crew|codeof|copyright|books|famous|news|oldnews|chronology|hirely|changes|keyword|capi3ref|sitemap|requirements|support|prosupport|index|docs|doclist|download|mostdeployed|syntax\/|images|syntaxdiagrams|lang_keywords|.*(list|intro)\.html|session\/(?!session)|th3private|cves|vdbe\.html|capi3|version3)/

function readSqlite(root, source) {
  const folder = join(root, 'usr/share/doc/sqlite3')
  const skip = (tag, attributes) =>
    tag === 'div' && /class=["']?(nosearch|toc|menu)|mainmenu|menubar|searchmenu/.test(attributes)
  return listFiles(folder, /\.html$/).flatMap((file) => {
    if (SQLITE_LEFT_OUT.test(file)) return []
    const html = readFileSync(join(folder, file), 'utf8')
      .replace(/<div class=nosearch>\s*<a href="intro.html">.*?<\/a>\s*(<h2>[\s\S]*?<\/h2>)\s*<\/div>/, '$1')
      .replace(/<p>See also lists of[\s\S]*$/, '')
    const blocks = htmlBlocks(html, skip)
    return numbered(
      source,
      file.replace(/\.html$/, '').replaceAll('/', '.'),
      packParts(blockParagraphs(blocks)),
    )
  })
}

// Program text ----------------------------------------------------------------------------------------------

const PYTHON_LEFT_OUT =
  /(^|\/)(test|tests|lib2to3|idlelib|encodings|pydoc_data|turtledemo|ensurepip)\/|_sysconfigdata|__main__/

function readPython(root, source) {
  const folder = join(root, 'usr/lib/python3.11')
  return listFiles(folder, /\.py$/).flatMap((file) => {
    const text = readFileSync(join(folder, file), 'utf8')
    // Modules with a notice of their own may be under other terms than the library as a whole.
    if (PYTHON_LEFT_OUT.test(file) || /copyright|licen[cs]e/i.test(text)) return []
    return numbered(source, file.replace(/\.py$/, '').replaceAll('/', '.'), packParts(codeParts(text)))
  })
}

function readJavaScript(roots, source) {
  return NPM_PACKAGES.flatMap((wanted) => {
    const root = roots.get(wanted.name)
    return listFiles(root, wanted.files).flatMap((file) => {
      const text = readFileSync(join(root, file), 'utf8').replace(
        /\/\*(?:(?!\*\/)[\s\S])*(copyright|@license)[\s\S]*?\*\//gi,
        '',
      )
      const name = `${wanted.name}.${file.replace(/\.m?js$/, '').replace(/^(lib|src|modules|dist)\//, '')}`
      const documents = numbered(source, name.replaceAll('/', '.'), packParts(codeParts(text)))
      // One large bundle is a whole library: its parts are groups of their own.
      return text.length > 100_000 ? documents.map((each) => ({ ...each, group: each.id })) : documents
    })
  })
}

// Markdown --------------------------------------------------------------------------------------------------

function readNodeManual(root, source) {
  const folder = join(root, 'usr/share/doc/nodejs/api')
  return listFiles(folder, /^(?!index|documentation|policy)[^/]*\.md(\.gz)?$/).flatMap((file) => {
    const raw = readFileSync(join(folder, file))
    const text = (file.endsWith('.gz') ? gunzipSync(raw) : raw)
      .toString('utf8')
      .replace(/<!--[\s\S]*?-->\n*/g, '')
      .replace(/^\[[^\]\n]+\]: .*\n?/gm, '')
      .replace(/\[([^\]\n]+)\]\[[^\]\n]*\]/g, '$1')
      .replace(/\\([[\]<>_*`])/g, '$1')
    // A section of the page is a group; the pages are too few and too long to be split as a whole.
    const page = file.replace(/\.md(\.gz)?$/, '')
    return text.split(/\n(?=##? )/).flatMap((section, i) => {
      const parts = markdownParts(section)
      return numbered(source, `${page}.${String(i + 1).padStart(2, '0')}`, packParts(parts))
    })
  })
}

/** Cuts Markdown at blank lines, but not inside fenced code; a heading stays with the paragraph after it. */
function markdownParts(text) {
  const parts = []
  let fenced = false
  let joins = false
  for (const part of text.split(/\n{2,}/)) {
    if (fenced || joins) parts[parts.length - 1] += `\n\n${part}`
    else parts.push(part)
    if ((part.match(/^ *```/gm) ?? []).length % 2 === 1) fenced = !fenced
    joins = !fenced && /^#+ [^\n]*$/.test(part)
  }
  return parts
}

// Books -----------------------------------------------------------------------------------------------------

/** Entries of a dict database in the order of its text: headword line, " word class." line, indented definition. */
function readJargon(root, source) {
  const text = gunzipSync(readFileSync(join(root, 'usr/share/dictd/jargon.dict.dz'))).toString('utf8')
  const entries = text
    .split(/\n\n(?=\S)/)
    .filter((entry) => !/^00-database|^The original data/.test(entry.trim()))
  const parts = entries.map((entry) => {
    const [head, ...body] = entry.trim().split('\n')
    const paragraphs = body
      .join('\n')
      .split(/\n{2,}/)
      .map((part) => unwrapParagraph(part))
    return [head, ...paragraphs]
      .filter((part) => part !== '')
      .join('\n')
      .replace(/\{\s*([^{}]+?)\s*\}/g, '$1')
      .replace(/(\S) {2,}(?=\S)/g, '$1 ')
  })
  const documents = packParts(parts, '\n\n', { min: 300, soft: 900, max: 3600 })
  return documents.map((each, i) => {
    const group = String(i + 1).padStart(4, '0')
    return { id: `${source}/${group}`, source, group, text: each }
  })
}

/** Joins wrapped lines; lines indented deeper than the text (verse, programs, sessions) keep their breaks. */
function unwrapParagraph(part) {
  const lines = part.split('\n').map((line) => line.trimEnd())
  const isVerse = lines.some((line) => /^ {5,}\S/.test(line))
  if (isVerse) return lines.map((line) => line.replace(/^ {4}/, '')).join('\n')
  return lines
    .map((line) => line.trim())
    .join(' ')
    .replace(/\{([^{}]+?) \}/g, '{$1}')
}

const BOOK_ABBREVIATION = /^((?:[1-3])?[A-Za-z]+?)(\d+):(\d+) (.*)$/

/** The text file inside is cut into LZW-compressed windows, as the reading program of the package expects them. */
function readBible(root, source) {
  const data = readFileSync(join(root, 'usr/lib/bible.data'))
  const windows = data.readUInt32BE(0x58)
  const offsets = Array.from({ length: windows }, (_, i) => data.readUInt32BE(0x5c + 4 * i))
  const text = offsets
    .map((offset, i) => {
      const body = data.subarray(offset, offsets[i + 1] ?? data.length).subarray()
      const hasMagic = body[0] === 0x1f && body[1] === 0x9d
      const input = hasMagic ? body : Buffer.concat([Buffer.from([0x1f, 0x9d, 0x90]), body])
      return execFileSync('gzip', ['-dc'], { input }).toString('latin1')
    })
    .join('')
  const chapters = new Map()
  for (const line of text.split('\n')) {
    const [, book, chapter, , verse] = BOOK_ABBREVIATION.exec(line) ?? []
    if (book === undefined) continue
    const group = `${book}.${chapter.padStart(3, '0')}`
    chapters.set(group, [...(chapters.get(group) ?? []), verse.replace(/[[\]]/g, '')])
  }
  return [...chapters].flatMap(([group, verses]) => numbered(source, group, packParts(verses, ' ')))
}

/** Reads every source. @returns Map from source name to its documents `{ id, source, group, text }`. */
export function readSources(roots) {
  const postgres = roots.get('postgresql-doc-15')
  return new Map([
    ['sql-commands', readPostgres(postgres, 'sql-commands', isSqlCommand)],
    ['postgres-manual', readPostgres(postgres, 'postgres-manual', (page) => !isSqlCommand(page))],
    ['sqlite-manual', readSqlite(roots.get('sqlite3-doc'), 'sqlite-manual')],
    ['python-code', readPython(roots.get('libpython3.11-stdlib'), 'python-code')],
    ['javascript-code', readJavaScript(roots, 'javascript-code')],
    ['node-manual', readNodeManual(roots.get('nodejs-doc'), 'node-manual')],
    ['jargon-file', readJargon(roots.get('dict-jargon'), 'jargon-file')],
    ['king-james-bible', readBible(roots.get('bible-kjv-text'), 'king-james-bible')],
  ])
}
