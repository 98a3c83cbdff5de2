import type { ResolvedFile } from './document.js'
import { printable } from './printable.js'
import { type Fail, type JsonRecord, keyList } from './record-fields.js'

/** Keys that make up one form of a record, or belong to it. */
const FORMS = [
  ['messages'],
  ['conversations'],
  ['prompt', 'completion'],
  ['instruction', 'input', 'output', 'history'],
  ['text'],
]

/** Keys that an entry may take from columns of other names. */
export const MAPPED_KEYS = [...FORMS.flat(), 'system', 'tools', 'id', 'source', 'weight'] as const

/**
 * A record whose columns have the names that the entry gives them. Keys of other forms than the named ones are left out,
 * so that what the entry names decides.
 * @throws UNKNOWN_COLUMN through `fail` for a column that is not there.
 */
export function mapColumns(record: JsonRecord, { columns, textField }: ResolvedFile, fail: Fail): JsonRecord {
  if (columns === undefined) return record
  const pairs = Object.entries(columns)
  const from = new Set(Object.values(columns))
  const named = new Set(Object.keys(columns))
  if (textField !== undefined) from.delete(textField)
  const used = FORMS.filter((form) => form.some((key) => named.has(key)))
  const isHidden = (key: string) =>
    used.length > 0 && FORMS.some((form) => form.includes(key) && !used.includes(form)) && key !== textField
  const entries = Object.entries(record).filter(
    ([key]) => !from.has(key) && !named.has(key) && !isHidden(key),
  )
  for (const [key, column] of pairs) {
    if (!Object.hasOwn(record, column)) {
      fail(
        'UNKNOWN_COLUMN',
        `expected the column "${printable(column, 60)}" for "${key}", as the entry says, received ` +
          `${keyList(Object.keys(record))}`,
      )
    }
    entries.push([key, record[column]])
  }
  return Object.fromEntries(entries)
}
