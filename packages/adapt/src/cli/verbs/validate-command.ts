import { existsSync, readdirSync, statSync } from 'node:fs'
import { describeMethod } from '../../catalog/index.js'
import {
  dataSources,
  evaluationSources,
  loadConfig,
  type RunConfig,
  renderResolvedConfig,
} from '../../config/index.js'
import { type DataSource, printable, type ResolvedFile } from '../../dataset/index.js'
import { AdaptError, ConfigError } from '../../errors.js'
import { findModelPlace, foreignWeights, hubSettings, isComplete, type ModelPlace } from '../../hub/index.js'
import {
  requireChatTemplate,
  requireDocuments,
  requireFittingModel,
  requireModelsRead,
} from '../../open/check-inputs.js'
import { loadTokenizer } from '../../tokenize/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { formatCount, wrapLines } from '../terminal/render-table.js'

export interface ValidateOptions {
  readonly set?: readonly string[]
  readonly resolved?: boolean
}

/** `adapt validate CONFIG`: the config and the files it names, all problems at once. */
export async function validateCommand(path: string, options: ValidateOptions, io: CliIo): Promise<void> {
  const { config, warnings, baseDir } = await loadConfig(path, {
    env: io.env,
    ...(options.set === undefined ? {} : { set: options.set }),
  })
  const warn = (text: string): void => void io.stderr.line(`warning: ${text}`)
  warnings.forEach(warn)
  const problems: AdaptError[] = []
  const check = async <T>(key: string | undefined, action: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await action()
    } catch (error) {
      if (!(error instanceof AdaptError)) throw error
      const message = key === undefined ? error.message : `${key}: ${error.message}`
      problems.push(new AdaptError(error.code, error.exitCode, message, error.context))
      return undefined
    }
  }
  let hasChat = false
  const entries = (key: string, list: readonly DataSource[], maxBadRecords = 0) =>
    check(key, () =>
      requireDocuments(
        list,
        baseDir,
        maxBadRecords,
        ({ content }) => (hasChat ||= content.kind === 'chat'),
        (text) => warn(`${key}: ${text}`),
      ),
    )

  const model = await check('model.path', () => describeModel(config, baseDir, warn))
  await check('model', () => (model === undefined ? undefined : requireFittingModel(config, baseDir)))
  await check(undefined, () => requireModelsRead(config, baseDir))
  const tokenizer = await check('tokenizer', () => describeTokenizer(config, baseDir, warn))
  const train = await entries('data.train', dataSources(config.data.train), config.data.max_bad_records)
  const anchors = await entries('anchors', dataSources(config.anchors))
  const sets = await entries('evaluation.sets', evaluationSources(config))
  const tasks = await check(undefined, () =>
    tokenizer === undefined ? undefined : describeTasks(config, baseDir, warn),
  )
  if (hasChat && tokenizer !== undefined) {
    const ends = await check('data.chat_template', () => requireChatTemplate(config, baseDir))
    ends?.forEach(warn)
  }
  const { foretellDevice } = await import('../../open/choose-device.js')
  const device = foretellDevice(config.training.device)
  if (device.problem !== undefined) warn(device.problem)
  const first = problems[0]
  if (first !== undefined) {
    const message = problems.map((problem) => problem.message).join('\n')
    throw new AdaptError(first.code, first.exitCode, message, { problems })
  }
  if (options.resolved === true) {
    io.stdout.writeData(renderResolvedConfig(config))
    return
  }
  const rows: readonly (readonly [string, string])[] = [
    ['model', model!],
    ['tokenizer', tokenizer!],
    ['train', describeFiles(train!)],
    ['anchors', describeFiles(anchors!)],
    ['evaluation', describeFiles(sets!)],
    ...(config.evaluation.tasks.length > 0 ? [['tasks', tasks!] as const] : []),
    ['method', printable(describeMethod(config.method))],
    ['training', describeTraining(config)],
    ['device', device.text],
    ['output_dir', printable(config.output_dir)],
  ]
  io.stdout.write(
    wrapLines(`OK\n${rows.map(([name, value]) => `${name.padEnd(11)} ${value}\n`).join('')}`, 12),
  )
}

/** What a hub id stands for, when there is no such folder and its files are not in the cache: nothing is fetched here. */
function describeFetch({ hubId, path }: ModelPlace, name: string): string {
  const { endpoint, isOffline } = hubSettings()
  const shown = printable(name)
  if (hubId !== undefined && isOffline) {
    throw new ConfigError(
      'HUB_OFFLINE',
      `${shown}: no folder ${printable(path)}, and the model is not wholly in the cache; unset HF_HUB_OFFLINE to fetch it`,
    )
  }
  return `${shown}, to be fetched from ${endpoint} (there is no folder ${printable(path)})`
}

/**
 * What stands under `model`, after reading config.json. Weights that are missing are only said: they may be fetched later.
 * @throws {ConfigError} HUB_OFFLINE, MODEL_NOT_FOUND and what a config.json can get wrong.
 */
async function describeModel(
  { model }: RunConfig,
  baseDir: string,
  warn: (text: string) => void,
): Promise<string> {
  if (!('path' in model)) return `scratch, ${model.preset}`
  const place = findModelPlace(baseDir, model.path)
  const { folder, hubId } = place
  if (folder === undefined || (hubId !== undefined && !isComplete(folder, 'model')))
    return describeFetch(place, model.path)
  const { countParameters, describeMissingModel, hasWeights, readModelConfig } = await import(
    '../../model/index.js'
  )
  const { total } = countParameters(readModelConfig(folder).config)
  if (!hasWeights(folder)) {
    const missing = describeMissingModel(folder)
    if (foreignWeights(readdirSync(folder)) !== undefined) throw new ConfigError('MODEL_NOT_FOUND', missing)
    warn(`model.path: ${missing}`)
  }
  return `${printable(model.path)}, ${formatCount(total)} parameters`
}

/**
 * A model folder whose weights have not come yet may be without its tokenizer too.
 * @throws what reading a tokenizer throws. @throws {ConfigError} HUB_OFFLINE
 */
async function describeTokenizer(
  { model, tokenizer }: RunConfig,
  baseDir: string,
  warn: (text: string) => void,
): Promise<string> {
  const place = findModelPlace(baseDir, tokenizer)
  const { folder, hubId } = place
  if (folder === undefined || (hubId !== undefined && !isComplete(folder, 'tokenizer')))
    return describeFetch(place, tokenizer)
  const isPart = 'path' in model && findModelPlace(baseDir, model.path).folder === folder
  const lacks = (ending: string) => !readdirSync(folder).some((name) => name.endsWith(ending))
  if (isPart && existsSync(folder) && lacks('tokenizer.json') && lacks('.safetensors')) {
    warn(`tokenizer: ${printable(folder)}: tokenizer.json is missing as the weights are`)
    return `${printable(tokenizer)}, not there yet`
  }
  const loaded = loadTokenizer(folder)
  // Only a call shows what the native library thinks of the file.
  await loaded.encodeBatch(['a'])
  return `${printable(tokenizer)}, ${formatCount(loaded.vocabSize)} tokens`
}

/** What the tasks ask, after reading those whose data is here. @throws what a task file, a record or a window is refused for. */
async function describeTasks(
  config: RunConfig,
  baseDir: string,
  warn: (text: string) => void,
): Promise<string> {
  if (config.evaluation.tasks.length === 0) return 'none'
  const { estimateRunTasks } = await import('../../open/index.js')
  const found = await estimateRunTasks(config, baseDir, { params: 0, totalSteps: undefined })
  const { requests, absent } = found!
  if (absent.length > 0) warn(`evaluation.tasks: data to be fetched: ${absent.join(', ')}`)
  return `${config.evaluation.tasks.map((name) => printable(name)).join(', ')}: ${formatCount(requests)} requests`
}

function describeFiles(files: readonly ResolvedFile[]): string {
  if (files.length === 0) return 'none'
  const bytes = files.reduce((sum, file) => sum + statSync(file.path).size, 0)
  const size = bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
  return `${formatCount(files.length)} ${files.length === 1 ? 'file' : 'files'}, ${size}`
}

function describeTraining({ training, data }: RunConfig): string {
  const length =
    training.max_steps === undefined
      ? `${training.num_train_epochs} epochs`
      : `${formatCount(training.max_steps)} steps`
  const rows = training.per_device_train_batch_size * training.gradient_accumulation_steps
  return `${length} of ${formatCount(rows)} rows x ${formatCount(data.max_length)} tokens, ${training.lr_scheduler_type} from ${training.learning_rate}`
}
