// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of references to the environment
import { describe, expect, it } from 'vitest'
import { MAX_DEPTH, parseYaml } from './parse-yaml.js'

function parse(text: string, env: Record<string, string> = {}) {
  return parseYaml(text, { env, label: (line, column) => `${line}:${column}` })
}

function problems(text: string, env: Record<string, string> = {}): string[] {
  return parse(text, env).issues.map(({ where, path, message }) => `${where} ${path} ${message}`)
}

describe('parseYaml', () => {
  it('reads data and remembers where each key and value stands', () => {
    const { value, places, issues } = parse('a: 1\nb:\n  - { c: x }\n')
    expect(issues).toEqual([])
    expect(value).toEqual({ a: 1, b: [{ c: 'x' }] })
    expect(places.get('b\0' + '0\0c')).toEqual({ key: '3:7', value: '3:10' })
  })

  it('reads exponents without a point as numbers', () => {
    expect(parse('a: 1e-3\nb: 1.0e-3\nc: .5').value).toEqual({ a: 0.001, b: 0.001, c: 0.5 })
  })

  it('refuses aliases and names the place', () => {
    const bomb = 'a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]'
    expect(problems(bomb)[0]).toMatch(/^2:8 b\.0 .*alias \*a/)
    expect(problems('b: *nowhere').length).toBe(1)
  })

  it.each([
    '!foo 3',
    '!!binary aGk=',
    '!!js/function "x"',
    '!!set {a}',
    '!<tag:example.org,2000:x> 1',
  ])('refuses the tag in %s', (text) => {
    expect(problems(`ok: 1\na: ${text}`)[0]).toMatch(/^2:\d+ a .*tag/)
  })

  it('refuses a key that appears twice, also when written differently', () => {
    expect(problems('a: 1\nb: 2\na: 3')).toEqual(['3:1 a expected each key once, received a second "a"'])
    expect(problems('ab: 1\n"a\\u0062": 2').length).toBe(1)
  })

  it.each(['__proto__', 'constructor', 'prototype'])('refuses the key %s and pollutes nothing', (key) => {
    expect(problems(`data:\n  ${key}: { polluted: true }`)[0]).toMatch(/^2:3 data\./)
    expect(problems(`data: { "${key}": { polluted: true } }`)[0]).toMatch(/^1:9 data\./)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  it('refuses keys that are not text, several documents and directives', () => {
    expect(problems('? [a]\n: 3').length).toBe(1)
    expect(problems('a: 1\n---\nb: 2')[0]).toMatch(/one YAML document/)
    expect(problems('%YAML 1.1\n---\na: yes')[0]).toMatch(/directive/)
  })

  it('does not merge with <<', () => {
    expect(parse('<<: { a: 1 }').value).toEqual({ '<<': { a: 1 } })
  })

  it.each([
    ['no', 'true or false'],
    ['Yes', 'true or false'],
    ['off', 'true or false'],
    ['y', 'true or false'],
    ['1_000', '1000'],
    ['-1_0.5', '-10.5'],
    ['0123', 'leading zeros'],
  ])('does not guess what %s means', (text, way) => {
    expect(problems(`a: ${text}`)[0]).toContain(way)
    expect(parse(`a: "${text}"`)).toMatchObject({ value: { a: text }, issues: [] })
  })

  it('takes nesting up to the limit and refuses one level more', () => {
    const nest = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`
    expect(problems(`a: ${nest(MAX_DEPTH - 1)}`)).toEqual([])
    expect(problems(`a: ${nest(MAX_DEPTH + 1)}`)[0]).toMatch(/at most 64 levels/)
  })

  it.each(['[', '{a: ', '- ', '? '])('refuses hostile nesting of %j without running out of stack', (unit) => {
    expect(problems(unit.repeat(200_000))[0]).toMatch(/expected/)
  })
})

describe('a large config', () => {
  const keys = (count: number) => Array.from({ length: count }, (_, i) => `k${i}: 1`).join('\n')

  it('is read up to the limit of tokens and refused beyond it', () => {
    expect(parse(keys(7000))).toMatchObject({ issues: [] })
    expect(problems(keys(7200))).toEqual([
      expect.stringMatching(/^7142:\d+ {2}expected at most 50000 YAML tokens/),
    ])
  })

  it('gives one problem for a value full of broken references', () => {
    expect(problems(`a: "${'${'.repeat(10_000)}"`)).toHaveLength(1)
  })

  it('is never quoted at length', () => {
    const [issue] = parse(`a: ${'1_'.repeat(10_000)}`).issues
    expect(issue?.message.length).toBeLessThan(300)
  })
})

describe('${NAME} in a config', () => {
  it('is replaced in plain and quoted text', () => {
    const env = { HOME_DIR: '/data', RUN: 'seven' }
    expect(parse('a: ${HOME_DIR}/x\nb: "${RUN}-${RUN}"', env).value).toEqual({
      a: '/data/x',
      b: 'seven-seven',
    })
  })

  it('becomes a number without quotes and stays text in quotes', () => {
    expect(parse('a: ${SEED}\nb: "${SEED}"', { SEED: '12' }).value).toEqual({ a: 12, b: '12' })
  })

  it('cannot add structure', () => {
    expect(parse('a: ${X}', { X: '[1, 2]' }).value).toEqual({ a: '[1, 2]' })
    expect(parse('a: ${X}', { X: '1\nb: 2' }).value).toEqual({ a: '1\nb: 2' })
  })

  it('is an error at its place when the variable is not set', () => {
    expect(problems('x: 1\na: p/${NOT_SET}')).toEqual([
      '2:4 a expected environment variable NOT_SET to be set, received nothing',
    ])
    expect(problems('a: ${toString}').length).toBe(1)
  })

  it('is an error when malformed, and a literal when escaped', () => {
    expect(problems('a: "${a b}"')[0]).toMatch(/expected \$\{NAME\}/)
    expect(problems('a: "${abc"')[0]).toMatch(/expected \$\{NAME\}/)
    expect(parse('a: "$${abc} $5"').value).toEqual({ a: '${abc} $5' })
  })

  it('explains that it needs quotes inside braces', () => {
    expect(problems('a: { b: ${X} }', { X: '1' })[0]).toContain('write "${X}" in quotes')
  })
})
