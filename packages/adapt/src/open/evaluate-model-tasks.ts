import { closeSync, existsSync, openSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { compileChatTemplate, renderPrompt } from '../chat-template/index.js'
import type { OverlapCounts } from '../contamination/index.js'
import { printable } from '../dataset/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { AdaptError, ConfigError } from '../errors.js'
import {
  evaluateTasks,
  findTasks,
  type PreparedTask,
  type PrepareTaskOptions,
  prepareTasks,
  ResponseStore,
  resultsJson,
  sampleJson,
  samplesFile,
  type TaskEvaluation,
} from '../tasks/index.js'
import { assertTokenizerFits, loadTokenizer, type Tokenizer } from '../tokenize/index.js'
import { packageVersion } from '../version.js'
import { chooseDevice } from './choose-device.js'
import { chooseWindow } from './choose-window.js'
import { loadConfigOf, runOfModel } from './config-of-run.js'
import { explainMemory, withMemoryAdvice } from './explain-memory.js'
import { findTaskOverlap, type TaskOverlap } from './find-task-overlap.js'
import { loadModel, locateModel, type ModelPlaces, withTokenizer } from './locate-model.js'
import { modelKeyOf, passLimits } from './pass-limits.js'

/** Which model is asked which tasks. */
export interface TasksRequest {
  /** What `locateModel` finds a model in. */
  readonly model: string
  readonly adapter?: string
  readonly tokenizer?: string
  /** Names, groups, tags, patterns or files. */
  readonly tasks: readonly string[]
  /** Folders with task files of one's own. */
  readonly includePaths?: readonly string[]
  readonly numFewShot?: number
  readonly fewShotSeed?: number
  /** Documents a task, or below 1 a share of them. */
  readonly limit?: number
  readonly maxLength?: number
  readonly device?: string
  readonly bf16?: boolean
  readonly addBosToken?: boolean
  readonly applyChatTemplate?: boolean
  readonly fewShotAsMultiturn?: boolean
  readonly system?: string
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
  const prepared = await prepareTasks(selection, prepareOptions(request, tokenizer, onLine))
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
      model: request.model,
      modelArgs: { pretrained: request.model, ...(request.adapter ? { peft: request.adapter } : {}) },
      numParameters: model.numParameters,
      dtype: autocastDtype ?? 'float32',
      device,
      batchSize: 'auto',
      limit: request.limit,
      bootstrapIterations: request.bootstrapIterations ?? 100_000,
      fewShotSeed: request.fewShotSeed ?? 1234,
      version: packageVersion(),
      date: started / 1000,
      seconds: (Date.now() - started) / 1000,
      maxLength,
      system: request.system,
      chatTemplate: request.applyChatTemplate ? tokenizer.chat.template?.source : undefined,
      isMultiturn: request.fewShotAsMultiturn === true,
    })
    if (overlap !== undefined) json.contamination = overlapJson(overlap)
    if (output !== undefined) writeResults(output, evaluation, json)
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
  try {
    const loaded = await loadConfigOf(run)
    if (loaded.config.anchors.length === 0) return undefined
    return await findTaskOverlap(prepared, { ...loaded, withTraining: false })
  } catch (error) {
    if (!(error instanceof AdaptError)) throw error
    onLine(`warning: no task is marked as anchored or unseen: ${error.message.split('\n')[0]}`)
    return undefined
  }
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

function prepareOptions(
  request: TasksRequest,
  tokenizer: Tokenizer,
  onLine: (line: string) => void,
): PrepareTaskOptions {
  const { numFewShot, fewShotSeed, limit, system } = request
  const common = {
    onLine,
    ...(numFewShot === undefined ? {} : { numFewShot }),
    ...(fewShotSeed === undefined ? {} : { seed: fewShotSeed }),
    ...(limit === undefined ? {} : { limit }),
    ...(system === undefined ? {} : { system }),
  }
  if (!request.applyChatTemplate) return common
  const { template, problem, specialTokens } = tokenizer.chat
  if (template === undefined) {
    throw new ConfigError(
      'NO_CHAT_TEMPLATE',
      `--apply-chat-template: expected a tokenizer with a chat template, found none${problem === undefined ? '' : `: ${problem}`}`,
    )
  }
  const compiled = compileChatTemplate(template.source, template.where)
  return {
    ...common,
    chat: {
      isMultiturn: request.fewShotAsMultiturn === true,
      render: (messages, isOpen) => {
        // A begun answer stays open behind the beginning that the template gives it.
        const before = isOpen ? messages.slice(0, -1) : messages
        const text = renderPrompt(compiled, { ...EMPTY_CONVERSATION, messages: before }, specialTokens)
        return isOpen ? text + String(messages.at(-1)!.content) : text
      },
    },
  }
}

const EMPTY_CONVERSATION = { numPromptMessages: 0, untrained: [] }

function writeResults(folder: string, evaluation: TaskEvaluation, json: Record<string, unknown>): void {
  makeFolder(folder)
  const write = (name: string, lines: Iterable<string>) => {
    const handle = openSync(join(folder, name), 'w')
    try {
      for (const line of lines) writeSync(handle, `${line}\n`)
    } finally {
      closeSync(handle)
    }
  }
  for (const { name, samples } of evaluation.tasks) {
    write(samplesFile(name), samples.map(sampleJson))
  }
  write('results.json', [JSON.stringify(json, null, 2)])
}
