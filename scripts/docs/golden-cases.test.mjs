import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'

const projectDir = path.resolve(import.meta.dirname, '../..')

/** Text of every test and fixture below a folder. */
function testsBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => /\.test(\.fixture)?\.ts$/.test(name))
    .map((name) => readFileSync(path.join(folder, name), 'utf8'))
}

/** Whether a test names a case: as it is, at the end of a path, or as `family-${name}` with the rest beside it. */
function names(text, golden) {
  const quoted = (name) => new RegExp(`['"\`/]${name.replaceAll('.', '\\.')}['"\`/]`).test(text)
  if (quoted(golden)) return true
  return [...golden.matchAll(/-/g)].some(
    ({ index }) => text.includes(`\`${golden.slice(0, index + 1)}\${`) && quoted(golden.slice(index + 1)),
  )
}

describe.each(['torch', 'adapt'])('the golden cases of %s', (name) => {
  const folder = path.join(projectDir, 'packages', name)
  const goldens = existsSync(path.join(folder, 'golden')) ? readdirSync(path.join(folder, 'golden')) : []
  const texts = testsBelow(path.join(folder, 'src'))

  it.each(goldens)('%s is read by a test', (golden) => {
    expect(texts.some((text) => names(text, golden))).toBe(true)
  })

  it('are looked for by their whole name', () => {
    expect(names("openGolden('rho-1')", 'rho')).toBe(false)
    expect(names("openGolden('rho')", 'rho')).toBe(true)
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a test
    expect(names("describe.each(['llama'])(openGolden(`generate-${name}`))", 'generate-llama')).toBe(true)
  })
})
