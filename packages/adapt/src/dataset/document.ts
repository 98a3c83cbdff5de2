import type { JsonValue } from './json-value.js'

/** One entry of `data.train`, `anchors` or an evaluation set. */
export interface DataSource {
  /**
   * A file, a folder, or a glob with `*`, `?` and `**`, relative to the folder of the config; or a data set on the hub,
   * `org/name` or `org/name@revision`, where there is no such file or folder.
   */
  readonly path: string
  /** Name of the source for all documents of this entry; overrides what the records say. */
  readonly source?: string
  /** Column that names the source of each record; null: everything from a file is one source, named as the file. */
  readonly sourceField?: string | null
  /** Read at most this many documents of this entry, in file order. */
  readonly limit?: number
  /** Name of the field that holds the text; default: recognised from the record. */
  readonly textField?: string
  /** Columns under other names: `{ prompt: 'question' }` reads `prompt` from the column `question`. */
  readonly columns?: Readonly<Record<string, string>>
  /** Multiplies the weight of every record of this entry; >= 0, default 1. */
  readonly weight?: number
  /** Split of a data set on the hub. Default `train`; see `defaultsToTrain`. */
  readonly split?: string
  /** Configuration of a data set on the hub. Default: the one that it calls its default. */
  readonly subset?: string
  /** Whether `train` may stand in for a split that is not named; false for what measures. Default true. */
  readonly defaultsToTrain?: boolean
}

/** One file of a `DataSource`. */
export interface ResolvedFile {
  /** Absolute path, to open the file with. */
  readonly path: string
  /** Path relative to the base folder with `/`; used in ids, errors and fingerprints. */
  readonly name: string
  /** Index of the `DataSource` that named the file; `limit` counts per entry. */
  readonly entry: number
  readonly source?: string
  /** Source of records that name none; default the file name without extensions and number of a shard. */
  readonly defaultSource?: string
  readonly limit?: number
  readonly textField?: string
  /** Columns that are read under another name, by that name. */
  readonly columns?: Readonly<Record<string, string>>
  /** The entry's weight, to be multiplied with the record's; `Document.weight` is the record's alone. */
  readonly weight?: number
}

/** One record of a data file, not yet tokenised. */
export interface Document {
  /** The record's `id` as text, else `<relative path>:<line, row or number>`. */
  readonly id: string
  /** `DataSource.source`, else the record's `source` or `meta.source`, else the file name without extensions. */
  readonly source: string
  /** `ResolvedFile.name`. */
  readonly path: string
  /** Line of the record, row of a table, or number of the record in a JSON array; from 1. */
  readonly line: number
  /** Offset of the line's first byte in the uncompressed file; 0 for a row of a table. */
  readonly byteOffset: number
  /** Static weight of the record, 0 or 1e-9 to 1e9; default 1. */
  readonly weight: number
  readonly content: DocumentContent
  /** Keys of the record that look like a control of what is trained but are not heeded; default none. */
  readonly ignoredControls?: readonly string[]
}

/** Plain text, of which everything is learnt; a prompt with the completion to learn; or a conversation. */
export type DocumentContent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'completion'; readonly prompt: string; readonly completion: string }
  | ChatContent

/** A conversation, of which the messages of the assistant are learnt. */
export interface ChatContent {
  readonly kind: 'chat'
  readonly messages: readonly ChatMessage[]
  /** Leading messages that are never trained, whatever their role; default 0. */
  readonly numPromptMessages?: number
  /** Further messages that are not trained because the record says so, by index; default none. */
  readonly untrained?: readonly number[]
  /** Tools that the template is given; descriptions as JSON. */
  readonly tools?: readonly unknown[]
  /** Further variables of the template, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, JsonValue>>
}

/** One message; keys besides role and content (`name`, `tool_calls` ...) are for the template. */
export interface ChatMessage {
  readonly role: string
  /** Null or absent, as the record has it, where calls of tools or thoughts stand in its place. */
  readonly content?: string | null
  readonly [key: string]: unknown
}
