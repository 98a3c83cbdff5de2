import { printable, readDocuments, resolveSources } from '../dataset/index.js'
import { DataError, NumericError } from '../errors.js'
import { type Evaluation, evaluateText } from '../eval/index.js'
import { assertTokenizerFits, loadTokenizer } from '../tokenize/index.js'
import { chooseDevice } from './choose-device.js'
import { chooseWindow } from './choose-window.js'
import { explainMemory, withMemoryAdvice } from './explain-memory.js'
import { loadModel, locateModel, type ModelPlaces, withTokenizer } from './locate-model.js'

/** Which model is measured on which files. */
export interface EvaluationRequest {
  /** What `locateModel` finds a model in. */
  readonly model: string
  /** PEFT folder on top of the model. */
  readonly adapter?: string
  /** Folder or hub id of the tokenizer. Default: that of the model. */
  readonly tokenizer?: string
  /** Files or globs, relative to the working directory. */
  readonly texts: readonly string[]
  /** Positions of a window. Default: `data.max_length` of the run that the model is of, else all positions of the model. */
  readonly maxLength?: number
  /** Windows of a pass, or `auto`: as many as half of the free memory holds. Default 16. */
  readonly batchSize?: number | 'auto'
  /** `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; default auto, as `chooseDevice` has it. */
  readonly device?: string
  /** Documents read per file. */
  readonly limit?: number
  /** Gets the device, the window, sources in which there is nothing to measure, and what is fetched of a hub id. */
  readonly onLine?: (line: string) => void
}

/** An evaluation and the window that it was made with, in positions. */
export interface FolderEvaluation extends Evaluation {
  readonly max_length: number
}

/**
 * Bits per byte of text files under a model folder; matrix products in float32.
 * @throws {DataError} NOTHING_TO_MEASURE when no token of the texts is predicted.
 * @throws {NumericError} NOT_FINITE when the model gives no numbers, such as one with a NaN among its weights.
 * @throws what `chooseDevice` throws.
 */
export async function evaluateModelFolder({
  model: folder,
  adapter,
  tokenizer: tokenizerName,
  texts,
  maxLength,
  batchSize,
  device: wantedDevice,
  limit,
  onLine = () => {},
}: EvaluationRequest): Promise<FolderEvaluation> {
  const sources = texts.map((path) => ({ path, ...(limit === undefined ? {} : { limit }) }))
  const files = await resolveSources(sources, process.cwd())
  const found = await locateModel(folder, adapter, { onLine })
  const places = await withTokenizer(found, tokenizerName, { onLine })
  const tokenizer = loadTokenizer(places.tokenizer)
  const { device, line } = chooseDevice(wantedDevice, { key: '--device' })
  onLine(line)
  const remedies = ['a smaller --batch-size', 'a smaller --max-length', 'another --device']
  const model = withMemoryAdvice('loading the model', device, ['another --device'], () =>
    loadModel(places, { device }),
  )
  try {
    assertTokenizerFits(tokenizer, model.config.vocabSize)
    const length = await chooseWindow(maxLength, model, places, onLine)
    const evaluation = await evaluateText(model, tokenizer, readDocuments(files), {
      maxLength: length,
      ...(batchSize === undefined ? {} : { batchSize }),
    })
    requireMeasured(evaluation, texts, places, onLine)
    return { max_length: length, ...evaluation }
  } catch (error) {
    throw explainMemory(error, 'the evaluation', device, remedies)
  } finally {
    model.dispose()
  }
}

function requireMeasured(
  { sources, all }: Evaluation,
  texts: readonly string[],
  places: ModelPlaces,
  onLine: (line: string) => void,
): void {
  const shownTexts = printable(texts.join(', '))
  if (all.tokens === 0) {
    throw new DataError(
      'NOTHING_TO_MEASURE',
      `${shownTexts}: expected text to predict, received ${all.documents} documents without any`,
    )
  }
  if (!Number.isFinite(all.nats_per_token)) {
    throw new NumericError(
      'NOT_FINITE',
      `${printable(places.adapter ?? places.model)}: expected finite losses on ${shownTexts}, received ${all.nats_per_token} nats per token; are its weights finite?`,
    )
  }
  for (const [name, { tokens, documents }] of Object.entries(sources)) {
    if (tokens > 0) continue
    onLine(
      `warning: nothing to predict in the ${documents} documents of ${printable(JSON.stringify(name))}, shown as -`,
    )
  }
}
