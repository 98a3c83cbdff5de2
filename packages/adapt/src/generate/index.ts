export { type FinishReason, type GenerateOptions, generateTokens } from './generate-tokens.js'
export type { SamplingOptions } from './sample-token.js'
export { streamText } from './stream-text.js'
