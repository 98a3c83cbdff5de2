// Copies the licence texts and public-domain statements of the sources into examples/licenses/.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { blockParagraphs, htmlBlocks } from './html-blocks.mjs'
import { DEBIAN_PACKAGES, NPM_PACKAGES } from './sources.mjs'

/** Paragraphs (stanzas) of a Debian copyright file that match. */
function stanzas(text, ...patterns) {
  const all = text.split(/\n\s*\n/)
  const found = patterns.map((pattern) => all.find((stanza) => pattern.test(stanza)))
  if (found.includes(undefined)) throw new Error(`a copyright file has no stanza like ${patterns.join(', ')}`)
  return `${found.join('\n\n').trim()}\n`
}

// The packaging of these is under the GPL, the text is not: only what concerns the text is kept.
const DEBIAN_NOTICES = {
  'postgresql.txt': (root) => {
    const html = readFileSync(join(root, 'usr/share/doc/postgresql-doc-15/html/legalnotice.html'), 'utf8')
    const skip = (_tag, attributes) => /class="nav(header|footer)"/.test(attributes)
    return `${blockParagraphs(htmlBlocks(html, skip)).join('\n\n')}\n`
  },
  'sqlite.txt': (root) =>
    stanzas(
      readFileSync(join(root, 'usr/share/doc/sqlite3-doc/copyright'), 'utf8'),
      /^Files: \*\n/,
      /^License: public-domain\n/,
    ),
  'python.txt': (root) => readFileSync(join(root, 'usr/lib/python3.11/LICENSE.txt'), 'utf8'),
  'nodejs.txt': (root) =>
    stanzas(
      readFileSync(join(root, 'usr/share/doc/nodejs-doc/copyright'), 'utf8'),
      /^Files: \*\n/,
      /^License: Expat\n Perm/,
    ),
  'jargon.txt': (root) =>
    stanzas(readFileSync(join(root, 'usr/share/doc/dict-jargon/copyright'), 'utf8'), /^Files: \*\n/),
  'bible-kjv.txt': (root) => {
    const text = readFileSync(join(root, 'usr/share/doc/bible-kjv-text/copyright'), 'utf8')
    return stanzas(text, /Bible Retrieval System/, /unrestricted use/, /copyright for the King James/)
  },
}

/** @returns nothing; writes one file a package. */
export function writeNotices(roots, folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const { name, notice } of DEBIAN_PACKAGES) {
    writeFileSync(join(folder, notice), DEBIAN_NOTICES[notice](roots.get(name)))
  }
  for (const { name } of NPM_PACKAGES) {
    writeFileSync(join(folder, `${name}.txt`), readFileSync(join(roots.get(name), 'LICENSE')))
  }
}
