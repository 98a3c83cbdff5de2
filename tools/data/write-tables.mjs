// Writes the figures of the data into examples/README.md, between the marks that say so.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DEBIAN_PACKAGES, NOISE, NPM_PACKAGES, SOURCES } from './sources.mjs'

const number = (value) => value.toLocaleString('en-US')

function sourceTable() {
  const byName = new Map([
    ...DEBIAN_PACKAGES.map((each) => [each.name, { ...each, kind: 'Debian' }]),
    ...NPM_PACKAGES.map((each) => [each.name, { ...each, kind: 'npm', notice: `${each.name}.txt` }]),
  ])
  const rows = SOURCES.flatMap(({ name, what, packages }) =>
    packages.map((each, i) => {
      const { kind, version, licence, notice } = byName.get(each)
      const first = i === 0 ? `${name} | ${what}` : '|'
      return `| ${first} | ${kind} ${each} ${version} | ${licence} | [${notice}](licenses/${notice}) |`
    }),
  )
  return [
    '| source | what | package | licence of the text | notice |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    `| ${NOISE.name} | ${NOISE.what} | all of the above | as the texts it was made from | all of the above |`,
  ].join('\n')
}

function fileTable(files) {
  const trained = files.filter(({ path }) => path.startsWith('corpus/'))
  const total = trained.reduce((sum, { tokens }) => sum + tokens, 0)
  const rows = files.map(({ path, records, bytes, unpacked, tokens, sha256 }) => {
    const share = path.startsWith('corpus/') ? `${((100 * tokens) / total).toFixed(1)} %` : ''
    return `| ${path} | ${number(records)} | ${number(bytes)} | ${number(unpacked)} | ${number(tokens)} | ${share} | \`${sha256}\` |`
  })
  return [
    '| file | records | bytes on disk | bytes of text | tokens | share of training tokens | SHA-256 |',
    '| --- | ---: | ---: | ---: | ---: | ---: | --- |',
    ...rows,
    '',
    `Training text: ${number(total)} tokens. Held-out text: ${number(
      files.filter(({ path }) => path.startsWith('heldout/')).reduce((sum, { tokens }) => sum + tokens, 0),
    )} tokens.`,
  ].join('\n')
}

/** Replaces what stands between `<!-- NAME:start -->` and `<!-- NAME:end -->`. */
function replaceSection(text, name, body) {
  const pattern = new RegExp(`(<!-- ${name}:start -->)[\\s\\S]*?(<!-- ${name}:end -->)`)
  if (!pattern.test(text)) throw new Error(`examples/README.md: expected the marks of the section "${name}"`)
  return text.replace(pattern, `$1\n${body}\n$2`)
}

/** @param report  What checkExamples returned. */
export function writeTables(examples, report) {
  const path = join(examples, 'README.md')
  const withSources = replaceSection(readFileSync(path, 'utf8'), 'sources', sourceTable())
  writeFileSync(path, replaceSection(withSources, 'files', fileTable(report.files)))
}
