export {
  type GeneratedText,
  type GenerateTextsOptions,
  generateTexts,
  planBatches,
  type TextPrompt,
} from './generate-texts.js'
export { type GenerateOptions, generateTokens } from './generate-tokens.js'
export {
  type FinishReason,
  GenerationBatch,
  type GenerationBatchOptions,
  type GenerationStep,
  type PromptRow,
} from './generation-batch.js'
export type { SamplingOptions } from './sample-token.js'
export { streamText } from './stream-text.js'
