import { existsSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { loadConfig } from '../config/index.js'
import { printable, readDocuments, resolveSources } from '../dataset/index.js'
import { AdaptError, DataError, NumericError } from '../errors.js'
import { type Evaluation, evaluateText } from '../eval/index.js'
import { assertTokenizerFits, loadTokenizer } from '../tokenize/index.js'
import { chooseDevice } from './choose-device.js'
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
    const positions = model.config.maxPositionEmbeddings
    const wanted =
      maxLength === undefined ? await windowOfRun(places) : { length: maxLength, of: '--max-length' }
    const isCut = wanted === undefined || wanted.length > positions
    const length = isCut ? positions : wanted.length
    onLine(`window ${length} tokens (${isCut ? 'all positions of the model' : wanted.of})`)
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

/** The window that a run trained with: bits per byte with another one are not those of its own evaluations. */
export async function windowOfRun({
  model,
  adapter,
}: ModelPlaces): Promise<{ readonly length: number; readonly of: string } | undefined> {
  const place = adapter ?? model
  // <run>/model and <run>/checkpoints/step-N.
  const run = [dirname(place), dirname(dirname(place))].find(
    (candidate) => existsSync(join(candidate, 'config.yaml')) && existsSync(join(candidate, 'run.json')),
  )
  if (run === undefined) return undefined
  try {
    const { config } = await loadConfig(join(run, 'config.yaml'))
    const near = relative(process.cwd(), run) || '.'
    const shown = printable(near.startsWith('..') ? run : near)
    return { length: config.data.max_length, of: `data.max_length of ${shown}` }
  } catch (error) {
    // The config of another version: the window is printed, so that nobody takes it for the run's.
    if (error instanceof AdaptError) return undefined
    throw error
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
