export { openCacheFiles } from './cache-files.js'
export type { ChatOptions, ChatSettings } from './chat-settings.js'
export type { CompletionText, EncodedCompletion } from './completion-text.js'
export { type BadRecords, type DataNotes, noteLines, truncationLines } from './data-notes.js'
export { createDocumentEncoder, type DocumentEncoder } from './document-encoder.js'
export { firstPieces } from './first-pieces.js'
export { holdsStart, type SpecialIds } from './frame.js'
export { idOfToken, isLabel } from './marked-token.js'
export { keepSamples, type SelectedDataset, selectDocuments } from './select-documents.js'
export {
  findTokenCache,
  openTokenCache,
  type TokenCacheOptions,
  type TokenCacheProgress,
} from './token-cache.js'
export type { SampleOrigin, TokenDataset, TokenizedSample } from './token-dataset.js'
export { tokenizeDocuments } from './tokenize-documents.js'
export {
  assertTokenizerFits,
  loadTokenizer,
  type Tokenizer,
} from './tokenizer.js'
export { findTurnEnds, type TurnEnds } from './turn-ends.js'
