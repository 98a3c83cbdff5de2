// The types of the options of `train()`, written from the schema of a config: one source for what editors show of both.

import path from 'node:path'
import { pathToFileURL } from 'node:url'

/** Relative to the project. */
export const RUN_OPTIONS_FILE = 'packages/adapt/src/config/run-options.ts'
const WIDTH = 110

/** The text of the file. Needs the compiled package. */
export async function renderRunOptions(projectDir) {
  const load = (file) => import(pathToFileURL(path.join(projectDir, 'packages/adapt/dist', file)).href)
  const { configJsonSchema } = await load('config/run-config.js')
  const { toCamelCase } = await load('method/option-names.js')
  const schema = configJsonSchema()
  return `// biome-ignore-all format: written by scripts/write-run-options.mjs from the schema of a config.

/**
 * A run as code describes it: the keys of a config file in camelCase, with the same meaning, defaults and values.
 * \`adapt schema\` prints the same for files.
 */
export type RunOptions = ${typeOf(schema, '', { names: keyNames(schema), toCamelCase })}
`
}

/** A JSON Schema as a type of TypeScript; mappings get a docstring for every key. */
function typeOf(schema, indent, spelling) {
  // Only JSON of any shape refers to itself.
  if (schema.$ref) return 'unknown'
  if (schema.anyOf)
    return [...new Set(schema.anyOf.map((branch) => typeOf(branch, indent, spelling)))].join(' | ')
  if (schema.const !== undefined) return literal(schema.const)
  if (schema.enum) return schema.enum.map(literal).join(' | ')
  if (schema.type === 'array') {
    const item = typeOf(schema.items, indent, spelling)
    return `readonly ${item.includes(' | ') || item.startsWith('{') ? `(${item})` : item}[]`
  }
  if (schema.properties) return mappingOf(schema, indent, spelling)
  if (schema.type === 'object') {
    const value = schema.additionalProperties
    return `{ readonly [name: string]: ${typeof value === 'object' ? typeOf(value, indent, spelling) : 'unknown'} }`
  }
  const simple = { integer: 'number', number: 'number', string: 'string', boolean: 'boolean', null: 'null' }
  if (simple[schema.type] === undefined) throw new Error(`no type for ${JSON.stringify(schema)}`)
  return simple[schema.type]
}

function mappingOf({ properties, required = [] }, indent, spelling) {
  const inner = `${indent}  `
  const lines = Object.entries(properties).flatMap(([key, schema]) => [
    ...docOf(schema, inner, spelling),
    `${inner}readonly ${spelling.toCamelCase(key)}${required.includes(key) ? '' : '?'}: ${typeOf(schema, inner, spelling)}${required.includes(key) ? '' : ' | undefined'}`,
  ])
  return `{\n${lines.join('\n')}\n${indent}}`
}

/** The description as a docstring, with the default where it does not say one itself. */
function docOf({ description = '', default: value }, indent, { names, toCamelCase }) {
  const saysDefault = value === undefined || typeof value === 'object' || /\bdefault\b/i.test(description)
  const shown = description.replace(/\w+/g, (word) => (names.has(word) ? toCamelCase(word) : word))
  const full = saysDefault ? shown : `${shown} Default ${JSON.stringify(value)}.`
  const lines = []
  for (const word of full.replaceAll('*/', '* /').split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && indent.length + 3 + last.length + 1 + word.length <= WIDTH) {
      lines[lines.length - 1] = `${last} ${word}`
    } else {
      lines.push(word)
    }
  }
  if (lines.length === 0) return []
  if (lines.length === 1) return [`${indent}/** ${lines[0]} */`]
  return [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`), `${indent} */`]
}

/** Keys that the options spell otherwise. */
function keyNames({ properties = {}, anyOf = [], items }, names = new Set()) {
  for (const [key, child] of Object.entries(properties)) {
    if (key.includes('_')) names.add(key)
    keyNames(child, names)
  }
  for (const child of [...anyOf, ...(items ? [items] : [])]) keyNames(child, names)
  return names
}

function literal(value) {
  return typeof value === 'string' ? `'${value}'` : String(value)
}
