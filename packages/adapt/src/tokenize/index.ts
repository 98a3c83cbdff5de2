export { openCacheFiles } from './cache-files.js'
export { type BadRecords, type DataNotes, noteLines } from './data-notes.js'
export { selectDocuments } from './select-documents.js'
export { openTokenCache, type TokenCacheOptions, type TokenCacheProgress } from './token-cache.js'
export type { SampleOrigin, TokenDataset, TokenizedSample } from './token-dataset.js'
export { tokenizeDocuments } from './tokenize-documents.js'
export {
  assertTokenizerFits,
  type CompletionText,
  type EncodedCompletion,
  loadTokenizer,
  type Tokenizer,
} from './tokenizer.js'
