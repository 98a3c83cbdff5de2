import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type ParsedNode,
  Parser,
  parseDocument,
  type Scalar,
} from 'yaml'
import { printable } from '../dataset/index.js'
import type { ConfigIssue } from './config-issue.js'
import { type Environment, interpolate } from './interpolate.js'

export const MAX_DEPTH = 64

/** A key and its value are about five tokens; the YAML library needs quadratic time for some broken texts. */
export const MAX_TOKENS = 50_000

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype'])
const CORE_TAGS = /^tag:yaml\.org,2002:(?:str|int|float|bool|null|map|seq)$/

// Plain scalars that YAML 1.1 tools read as booleans or other numbers while YAML 1.2 reads text or another number.
const OLD_BOOLEAN = /^(?:y|yes|n|no|on|off)$/i
const UNDERSCORED_NUMBER = /^[-+]?(?=[^_]*_)[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?$/
const LEADING_ZERO = /^[-+]?0[0-9]+$/

/** A parsed document: plain data, where each key and value stands, and everything wrong with it. */
export interface ParsedYaml {
  readonly value: unknown
  readonly places: ReadonlyMap<string, { readonly key: string; readonly value: string }>
  readonly issues: readonly ConfigIssue[]
}

export interface ParseYamlOptions {
  readonly env: Environment
  /** Text for an issue's `where`. */
  readonly label: (line: number, column: number) => string
  /** Path of the document's root in the config; [] for a file. */
  readonly root?: readonly string[]
}

/** Identifies a path in `places`; NUL cannot occur in a YAML key. */
export function placeKey(path: readonly PropertyKey[]): string {
  return path.map(String).join('\0')
}

/**
 * Reads YAML as data with limits: one document, nesting of at most {@link MAX_DEPTH} and {@link MAX_TOKENS}, string keys that are unique
 * and harmless, no aliases, no tags, no scalar that YAML 1.1 and 1.2 read differently. `${NAME}` in a value is the
 * environment variable: in quotes the result stays text, without quotes it is read like any plain scalar.
 */
export function parseYaml(text: string, options: ParseYamlOptions): ParsedYaml {
  const lines = new LineCounter()
  const places = new Map<string, { key: string; value: string }>()
  const issues: ConfigIssue[] = []
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return options.label(Math.max(1, line), Math.max(1, col))
  }
  const report = (offset: number, path: readonly string[], message: string) => {
    issues.push({ where: at(offset), path: path.join('.'), message })
  }
  const done = (value: unknown): ParsedYaml => ({ value, places, issues })

  const excess = findExcess(text)
  const document =
    excess === undefined
      ? parseDocument(text, {
          lineCounter: lines,
          version: '1.2',
          schema: 'core',
          merge: false,
          stringKeys: true,
          // Checked below: the library compares every pair of keys, which takes seconds for a large mapping.
          uniqueKeys: false,
          prettyErrors: false,
          logLevel: 'error',
        })
      : undefined
  if (document === undefined) {
    for (let i = 0; i < text.length; i++) if (text[i] === '\n') lines.addNewLine(i + 1)
    report(excess!.offset, [], excess!.message)
    return done(undefined)
  }
  // What follows the first error is mostly read wrongly because of it.
  const [error] = document.errors
  if (error) report(error.pos[0], [], syntaxMessage(error.code, error.message, text, error.pos))
  if (document.directives?.yaml.explicit) report(0, [], 'expected no %YAML directive, received one')
  if (issues.length > 0) return done(undefined)

  const root = options.root ?? []
  places.set(placeKey(root), { key: at(0), value: at(document.contents?.range?.[0] ?? 0) })
  return done(convert(document.contents, root))

  function convert(node: ParsedNode | Node | null, path: readonly string[]): unknown {
    if (node === null) return null
    const offset = node.range?.[0] ?? 0
    if (isAlias(node)) {
      report(offset, path, `expected a value, received the alias *${node.source} (aliases are not read)`)
      return null
    }
    if (node.tag !== undefined && !(isScalar(node) && CORE_TAGS.test(node.tag))) {
      if (!CORE_TAGS.test(node.tag)) {
        report(offset, path, `expected a plain value, received the tag ${node.tag} (tags are not read)`)
        return null
      }
    }
    if (isMap(node)) return convertMap(node.items as MapItems, path)
    if (isSeq(node)) {
      return (node.items as Node[]).map((item, i) => {
        const itemPath = [...path, String(i)]
        const where = at(item?.range?.[0] ?? offset)
        places.set(placeKey(itemPath), { key: where, value: where })
        return convert(item, itemPath)
      })
    }
    return isScalar(node) ? convertScalar(node, path, offset) : null
  }

  function convertMap(items: MapItems, path: readonly string[]): Record<string, unknown> {
    const result: Record<string, unknown> = {}
    for (const { key, value } of items) {
      const name = String(key.value)
      const keyOffset = key.range?.[0] ?? 0
      const keyPath = [...path, name]
      if (FORBIDDEN_KEYS.has(name)) {
        report(keyOffset, keyPath, `expected a config key, received "${name}"`)
        continue
      }
      if (Object.hasOwn(result, name)) {
        report(keyOffset, keyPath, `expected each key once, received a second "${name}"`)
        continue
      }
      places.set(placeKey(keyPath), { key: at(keyOffset), value: at(value?.range?.[0] ?? keyOffset) })
      result[name] = convert(value, keyPath)
    }
    return result
  }

  function convertScalar(node: Scalar, path: readonly string[], offset: number): unknown {
    const isPlain = node.type === 'PLAIN'
    let value = node.value
    let source = node.source ?? ''
    if (typeof value === 'string' && value.includes('${')) {
      let failed = false
      const replaced = interpolate(value, options.env, (message) => {
        if (!failed) report(offset, path, message)
        failed = true
      })
      // The place already has its error; a value that no schema judges again keeps it the only one.
      if (failed) return undefined
      value = isPlain ? readPlainScalar(replaced) : replaced
      source = replaced
    }
    const doubt = isPlain ? doubtfulScalar(source) : undefined
    if (doubt !== undefined) {
      report(
        offset,
        path,
        `expected a value that every YAML version reads alike, received ${printable(source, 60)} (${doubt})`,
      )
      return undefined
    }
    return value
  }
}

type MapItems = readonly { readonly key: Scalar; readonly value: Node | null }[]

/** Reads a text as YAML reads an unquoted scalar; anything else stays text. */
function readPlainScalar(text: string): unknown {
  if (text.includes('\n')) return text
  const document = parseDocument(text, { version: '1.2', schema: 'core', logLevel: 'silent' })
  const node = document.contents
  const isPlain = isScalar(node) && node.type === 'PLAIN' && node.source === text && node.tag === undefined
  return isPlain && document.errors.length === 0 ? node.value : text
}

function doubtfulScalar(source: string): string | undefined {
  if (OLD_BOOLEAN.test(source)) return `write true or false, or "${source}" in quotes for the text`
  if (UNDERSCORED_NUMBER.test(source))
    return `write ${printable(source.replaceAll('_', ''), 60)}, or quotes for the text`
  if (LEADING_ZERO.test(source)) return 'write the number without leading zeros, or quotes for the text'
  return undefined
}

function syntaxMessage(code: string, message: string, text: string, [start, end]: [number, number]): string {
  if (code === 'MULTIPLE_DOCS') return 'expected one YAML document, received several'
  if (code === 'TAB_AS_INDENT') return 'expected spaces, received a tab (YAML indents with spaces only)'
  const lineStart = text.lastIndexOf('\n', start - 1) + 1
  const reference = /\$\{[^}\n]*\}/.exec(text.slice(lineStart, Math.max(end, start) + 80))?.[0]
  const hint = reference === undefined ? '' : ` (inside { } or [ ], write "${reference}" in quotes)`
  return `expected valid YAML, received: ${message.split('\n', 1)[0]}${hint}`
}

/**
 * What makes a text too hard to read, and where. Only the streaming tokenizer runs, so that hostile nesting or
 * length is refused before anything recursive or quadratic sees it.
 */
function findExcess(text: string): { readonly offset: number; readonly message: string } | undefined {
  const parser = new Parser()
  let numTokens = 0
  for (const lexeme of new Lexer().lex(text)) {
    numTokens += 1
    if (numTokens > MAX_TOKENS) {
      return { offset: parser.offset, message: `expected at most ${MAX_TOKENS} YAML tokens, received more` }
    }
    for (const _ of parser.next(lexeme)) {
      // Whole documents are not needed here, only the depth of the stack on the way.
    }
    // One entry is the document and one may be the scalar being read.
    if (parser.stack.length > MAX_DEPTH + 2) {
      return {
        offset: parser.offset,
        message: `expected at most ${MAX_DEPTH} levels of nesting, received more`,
      }
    }
  }
  return undefined
}
