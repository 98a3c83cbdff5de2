import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { OverlapCounts } from '../contamination/index.js'
import { printable } from '../dataset/index.js'
import { AdaptError, ConfigError } from '../errors.js'
import {
  evaluateTasks,
  findTasks,
  type PreparedTask,
  prepareTasks,
  ResponseStore,
  resultsJson,
  type TaskEvaluation,
} from '../tasks/index.js'
import { assertTokenizerFits, loadTokenizer } from '../tokenize/index.js'
import { chooseDevice } from './choose-device.js'
import { chooseWindow } from './choose-window.js'
import { loadConfigOf, runOfModel } from './config-of-run.js'
import { explainMemory, withMemoryAdvice } from './explain-memory.js'
import { findAnchored, findTaskOverlap, type TaskOverlap } from './find-task-overlap.js'
import { keepEarlierResults } from './keep-earlier-results.js'
import { loadModel, locateModel, type ModelPlaces, withTokenizer } from './locate-model.js'
import { modelKeyOf, passLimits } from './pass-limits.js'
import { headOf, type TaskSettings, taskPrepareOptions, writeTaskResults } from './task-settings.js'

/** Which model is asked which tasks. */
export interface TasksRequest extends TaskSettings {
  /** What `locateModel` finds a model in. */
  readonly model: string
  readonly adapter?: string
  readonly tokenizer?: string
  /** Names, groups, tags, patterns or files. */
  readonly tasks: readonly string[]
  /** Folders with task files of one's own. */
  readonly includePaths?: readonly string[]
  readonly maxLength?: number
  readonly device?: string
  readonly bf16?: boolean
  readonly bootstrapIterations?: number
  /** A run or its config, with whose anchors and training data the tasks are compared. Default: the anchors of the run that the model is of. */
  readonly against?: string
  /** Folder for results, samples and what an interrupted evaluation goes on from. */
  readonly output?: string
  /** Asked between passes; true ends the evaluation with exit 75. */
  readonly isCancelled?: () => boolean
  readonly onLine?: (line: string) => void
  readonly onProgress?: (task: string, done: number, total: number) => void
}

/** What tasks gave, as it is and as JSON, and what they share with the data of a run, where one is known. */
export interface TasksOutcome {
  readonly evaluation: TaskEvaluation
  readonly json: Record<string, unknown>
  readonly overlap: TaskOverlap | undefined
}

/**
 * Results of tasks under a model folder.
 * @throws {ConfigError} NO_CHAT_TEMPLATE; what `findTasks` and `chooseDevice` throw. @throws {DataError} for documents that a task cannot be made of.
 */
export async function evaluateModelTasks(request: TasksRequest): Promise<TasksOutcome> {
  const { onLine = () => {}, output } = request
  const started = Date.now()
  requireFolder(output)
  const selection = await findTasks(request.tasks, {
    ...(request.includePaths === undefined ? {} : { includePaths: request.includePaths }),
  })
  const located = await locateModel(request.model, request.adapter, { onLine })
  const places = await withTokenizer(located, request.tokenizer, { onLine })
  const tokenizer = loadTokenizer(places.tokenizer)
  const prepared = await prepareTasks(
    selection,
    taskPrepareOptions(request, tokenizer, { onLine, key: '--apply-chat-template' }),
  )
  const overlap = await overlapOf(prepared, request.against, places, onLine)
  const { device, line } = chooseDevice(request.device, { key: '--device' })
  onLine(line)
  const model = withMemoryAdvice('loading the model', device, ['another --device'], () =>
    loadModel(places, { device }),
  )
  try {
    assertTokenizerFits(tokenizer, model.config.vocabSize)
    const autocastDtype = request.bf16 ? ('bfloat16' as const) : undefined
    const maxLength = await chooseWindow(request.maxLength, model, places, onLine)
    const store = new ResponseStore(output === undefined ? undefined : join(output, 'responses.jsonl'))
    const found = await evaluateTasks(
      model,
      tokenizer,
      { selection, prepared },
      {
        maxLength,
        ...passLimits(model, autocastDtype),
        autocastDtype,
        addBosToken: request.addBosToken,
        modelKey: modelKeyOf(places, tokenizer, `${device} ${autocastDtype ?? 'float32'} ${maxLength}`),
        store,
        ...(request.isCancelled === undefined ? {} : { isCancelled: request.isCancelled }),
        ...(request.bootstrapIterations === undefined
          ? {}
          : { bootstrapIterations: request.bootstrapIterations }),
        ...(request.onProgress === undefined ? {} : { onProgress: request.onProgress }),
      },
    )
    const evaluation = overlap === undefined ? found : { ...found, anchored: overlap.anchored }
    const json = resultsJson(evaluation, {
      ...headOf(request, tokenizer),
      model: request.model,
      modelArgs: { pretrained: request.model, ...(request.adapter ? { peft: request.adapter } : {}) },
      numParameters: model.numParameters,
      dtype: autocastDtype ?? 'float32',
      device,
      bootstrapIterations: request.bootstrapIterations ?? 100_000,
      date: started / 1000,
      seconds: (Date.now() - started) / 1000,
      maxLength,
    })
    if (overlap !== undefined) json.contamination = overlapJson(overlap)
    if (output !== undefined) {
      const kept = keepEarlierResults(output, json)
      if (kept !== undefined) onLine(`earlier results in ${output} are kept as ${kept}`)
      writeTaskResults(output, evaluation, json)
    }
    return { evaluation, json, overlap }
  } catch (error) {
    throw explainMemory(error, 'the evaluation', device, ['a smaller --max-length', 'another --device'])
  } finally {
    model.dispose()
  }
}

/** Anchors of the model's own run are compared unasked: they are few. */
async function overlapOf(
  prepared: readonly PreparedTask[],
  against: string | undefined,
  places: ModelPlaces,
  onLine: (line: string) => void,
): Promise<TaskOverlap | undefined> {
  if (against !== undefined) {
    const onProgress = (documents: number) => {
      if (documents % 65_536 === 0) onLine(`comparing texts: ${documents} training documents`)
    }
    return await findTaskOverlap(prepared, {
      ...(await loadConfigOf(against)),
      withTraining: true,
      onProgress,
    })
  }
  const run = runOfModel(places)
  if (run === undefined) return undefined
  let loaded: Awaited<ReturnType<typeof loadConfigOf>>
  try {
    loaded = await loadConfigOf(run)
  } catch (error) {
    // The config of another version; nothing was asked of it.
    if (error instanceof AdaptError) return undefined
    throw error
  }
  return await findAnchored(prepared, loaded, onLine)
}

/** By task, as in `results`. */
function overlapJson({ anchors, training }: TaskOverlap): Record<string, unknown> {
  const byTask = (counts: readonly OverlapCounts[]) =>
    Object.fromEntries(counts.map(({ group, ...rest }) => [group, rest]))
  return { anchors: byTask(anchors), ...(training === undefined ? {} : { training: byTask(training) }) }
}

function requireFolder(output: string | undefined): void {
  if (output === undefined || !existsSync(output) || statSync(output).isDirectory()) return
  throw new ConfigError('NOT_A_FOLDER', `--output: expected a folder, received the file ${printable(output)}`)
}
