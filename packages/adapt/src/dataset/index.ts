export type {
  ChatContent,
  ChatMessage,
  DataSource,
  Document,
  DocumentContent,
  ResolvedFile,
} from './document.js'
export { knownFileKind, READ_EXTENSIONS } from './file-kind.js'
export { fingerprintFiles } from './fingerprint-files.js'
export { compareText, expandGlob, matchSegment } from './glob.js'
export { type JsonValue, jsonFloat, jsonInteger } from './json-value.js'
export { MAPPED_KEYS } from './map-columns.js'
export { printable, printableText } from './printable.js'
export {
  type DataRecord,
  type DataRow,
  type ReadCounts,
  type ReadOptions,
  readDocuments,
  readRecords,
  readRows,
} from './read-documents.js'
export { readJsonField } from './read-json.js'
export { promptOf, type RecordPrompt } from './record-content.js'
export { isObject } from './record-fields.js'
export { jsonText } from './record-json.js'
export { type FindElsewhere, type FoundFile, isDataFile, resolveSources } from './resolve-sources.js'
export { type JsonScan, scanJson } from './scan-json.js'
export { isStaticWeight, STATIC_WEIGHT_RANGE } from './static-weight.js'
