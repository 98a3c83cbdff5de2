import { type FileMetaData, type ParquetType, parquetSchema, type SchemaTree } from 'hyparquet'
import { ParquetUnsupported } from './parquet-faults.js'
import { converterOf } from './parquet-values.js'

/** A column that holds values. */
export interface Leaf {
  readonly kind: 'leaf'
  readonly name: string
  /** Names from the outermost column on. */
  readonly path: readonly string[]
  readonly type: ParquetType
  readonly typeLength: number | undefined
  /** Level of an entry that holds a value. */
  readonly maxDefinition: number
  readonly maxRepetition: number
  /** Makes of a stored value that of a record; undefined where they are the same. */
  readonly convert: ((value: unknown) => unknown) | undefined
}

/** A column of a table; what it holds may have parts. */
export type Column =
  | Leaf
  | {
      readonly kind: 'struct'
      readonly name: string
      /** Below this level it is null. */
      readonly definition: number
      readonly parts: readonly Column[]
    }
  | {
      readonly kind: 'list' | 'map'
      readonly name: string
      /** Below this level it is null. */
      readonly definition: number
      /** Below this level it is empty. */
      readonly filled: number
      /** Level at which an entry goes on with the same list. */
      readonly repetition: number
      readonly item: Column
    }

/** Outermost names of a file's columns. */
export const columnNames = (metadata: FileMetaData): string[] =>
  parquetSchema(metadata).children.map(({ element }) => element.name)

/** The columns of these names. @throws {ParquetUnsupported} for a type that is not read. */
export function readColumns(metadata: FileMetaData, names: readonly string[]): Column[] {
  const found = parquetSchema(metadata).children.filter(({ element }) => names.includes(element.name))
  return found.map((tree) => columnOf(tree, 0, 0))
}

/** The leaves under a column, in the order of the file. */
export function leavesOf(column: Column): readonly Leaf[] {
  if (column.kind === 'leaf') return [column]
  return (column.kind === 'struct' ? column.parts : [column.item]).flatMap(leavesOf)
}

/** @param definition  Level of what is around it. @param repetition  Likewise. */
function columnOf(tree: SchemaTree, definition: number, repetition: number): Column {
  const { element, children, path } = tree
  if (element.repetition_type === 'REPEATED') {
    // A list without a group around it: there is always one, and its items are never null.
    const item = { ...tree, element: { ...element, repetition_type: 'REQUIRED' as const } }
    return listOf(
      'list',
      element.name,
      definition,
      columnOf(item, definition + 1, repetition + 1),
      repetition,
    )
  }
  const own = definition + (element.repetition_type === 'OPTIONAL' ? 1 : 0)
  const kinds = [element.converted_type, element.logical_type?.type]
  if (element.type !== undefined) {
    return {
      kind: 'leaf',
      name: element.name,
      path,
      type: element.type,
      typeLength: element.type_length,
      maxDefinition: own,
      maxRepetition: repetition,
      convert: converterOf(element),
    }
  }
  if (kinds.includes('VARIANT')) throw new ParquetUnsupported(`the column ${path.join('.')} of type VARIANT`)
  const [only] = children
  if (children.length === 0) throw new ParquetUnsupported(`the column ${path.join('.')} without parts`)
  if (children.length === 1 && only!.element.repetition_type === 'REPEATED') {
    const isMap = kinds.some((kind) => kind === 'MAP' || kind === 'MAP_KEY_VALUE')
    if (isMap || kinds.includes('LIST')) {
      const asItem = { ...only!, element: { ...only!.element, repetition_type: 'REQUIRED' as const } }
      const isItem = isMap || isItemItself(only!, element.name)
      const item = columnOf(isItem ? asItem : only!.children[0]!, own + 1, repetition + 1)
      const isKeyed = isMap && item.kind === 'struct' && item.parts.length === 2
      return listOf(isKeyed ? 'map' : 'list', element.name, own, item, repetition)
    }
  }
  const parts = children.map((child) => columnOf(child, own, repetition))
  return { kind: 'struct', name: element.name, definition: own, parts }
}

function listOf(
  kind: 'list' | 'map',
  name: string,
  definition: number,
  item: Column,
  repetition: number,
): Column {
  return { kind, name, definition, filled: definition + 1, repetition: repetition + 1, item }
}

/** Whether the repeated column of a list is an item and not a frame around one, as the format's rules for old writers say. */
function isItemItself({ element, children }: SchemaTree, listName: string): boolean {
  if (children.length !== 1) return true
  if (children[0]!.element.repetition_type === 'REPEATED') return true
  return element.name === 'array' || element.name === `${listName}_tuple`
}
