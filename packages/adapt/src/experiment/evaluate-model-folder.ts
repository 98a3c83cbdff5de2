import { readDocuments, resolveSources } from '../dataset/index.js'
import { type Evaluation, evaluateText } from '../eval/index.js'
import { assertTokenizerFits, loadTokenizer } from '../tokenize/index.js'
import { locateModel, openModel } from './open-model.js'

/** Which model is measured on which files. */
export interface EvaluationRequest {
  /** What `locateModel` finds a model in. */
  readonly model: string
  /** PEFT folder on top of the model. */
  readonly adapter?: string
  /** Files or globs, relative to the working directory. */
  readonly texts: readonly string[]
  readonly maxLength?: number
  readonly batchSize?: number
  /** Documents read per file. */
  readonly limit?: number
  /** Gets what is fetched of a hub id. */
  readonly onLine?: (line: string) => void
}

/** Bits per byte of text files under a model folder; matrix products in float32. */
export async function evaluateModelFolder({
  model: folder,
  adapter,
  texts,
  maxLength,
  batchSize,
  limit,
  onLine = () => {},
}: EvaluationRequest): Promise<Evaluation> {
  const sources = texts.map((path) => ({ path, ...(limit === undefined ? {} : { limit }) }))
  const files = await resolveSources(sources, process.cwd())
  const places = await locateModel(folder, adapter, { onLine })
  const tokenizer = loadTokenizer(places.tokenizer)
  const model = openModel(places)
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
