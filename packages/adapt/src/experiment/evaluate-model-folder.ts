import { readDocuments, resolveSources } from '../dataset/index.js'
import { type Evaluation, evaluateText } from '../eval/index.js'
import { loadModelFolder } from '../model/index.js'
import { assertTokenizerFits, loadTokenizer } from '../tokenize/index.js'

/** Which model is measured on which files. */
export interface EvaluationRequest {
  /** Hugging Face folder with model and tokenizer. */
  readonly model: string
  /** Files or globs, relative to the working directory. */
  readonly texts: readonly string[]
  readonly maxLength?: number
  readonly batchSize?: number
  /** Documents read per file. */
  readonly limit?: number
}

/** Bits per byte of text files under a model folder; matrix products in float32. */
export async function evaluateModelFolder({
  model: folder,
  texts,
  maxLength,
  batchSize,
  limit,
}: EvaluationRequest): Promise<Evaluation> {
  const sources = texts.map((path) => ({ path, ...(limit === undefined ? {} : { limit }) }))
  const files = await resolveSources(sources, process.cwd())
  const tokenizer = loadTokenizer(folder)
  const model = loadModelFolder(folder)
  try {
    assertTokenizerFits(tokenizer, model.config.vocabSize)
    return await evaluateText(model, tokenizer, readDocuments(files), {
      ...(maxLength === undefined ? {} : { maxLength }),
      ...(batchSize === undefined ? {} : { batchSize }),
    })
  } finally {
    model.dispose()
  }
}
