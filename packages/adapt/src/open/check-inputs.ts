import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { modelsRead } from '../catalog/index.js'
import { compileChatTemplate, findChatTemplate } from '../chat-template/index.js'
import { chatOptions, type RunConfig } from '../config/index.js'
import { type DataSource, type Document, type ResolvedFile, readDocuments } from '../dataset/index.js'
import { ConfigError, DataError } from '../errors.js'
import { estimateParameters } from '../estimate/index.js'
import { CONFIG_FILE, findModelPlace, hubSettings, resolveDataFiles } from '../hub/index.js'
import { LORA_DEFAULTS } from '../model/lora/lora-config.js'
import { findTurnEnds, loadTokenizer } from '../tokenize/index.js'

/**
 * Refuses what a model of these dimensions cannot do: longer rows, adapters on layers that it has not.
 * @throws {ConfigError} SEQUENCE_TOO_LONG, BAD_LORA, ADAPTER_NOT_FOUND, UNSUPPORTED_ADAPTER.
 */
export async function requireFittingModel({ model, data }: RunConfig, baseDir: string): Promise<void> {
  if (!('path' in model)) return
  const { readAdapterConfig, readModelConfig } = await import('../model/index.js')
  if (model.adapter !== undefined) {
    const { folder, hubId } = findModelPlace(baseDir, model.adapter)
    if (hubId === undefined) readAdapterConfig(folder!)
  }
  const { folder } = findModelPlace(baseDir, model.path)
  if (folder === undefined || !existsSync(join(folder, CONFIG_FILE))) return
  const { config } = readModelConfig(folder)
  if (model.lora !== undefined) {
    const { r, target_modules } = model.lora
    estimateParameters(config, { r, targetModules: target_modules ?? LORA_DEFAULTS.targetModules })
  }
  if (data.max_length <= config.maxPositionEmbeddings) return
  throw new ConfigError(
    'SEQUENCE_TOO_LONG',
    `data.max_length: ${data.max_length} is more than the model's max_position_embeddings (${config.maxPositionEmbeddings})`,
  )
}

/**
 * The models that the method reads beside the one that is trained must be there: a run does not fetch them.
 * @throws {ConfigError} NO_MODEL
 */
export async function requireModelsRead({ method }: RunConfig, baseDir: string): Promise<void> {
  for (const { key, path } of modelsRead(method)) {
    const { requireModelFolder } = await import('./locate-model.js')
    requireModelFolder(baseDir, path, key)
  }
}

/**
 * The files of the entries, after reading the first record of each.
 *
 * @throws {ConfigError} FILE_NOT_FOUND. @throws {DataError} what reading throws; EMPTY_DATA when all are empty.
 */
export async function requireDocuments(
  list: readonly DataSource[],
  baseDir: string,
  maxBadRecords: number,
  onDocument: (document: Document) => void,
  warn: (text: string) => void,
): Promise<readonly ResolvedFile[]> {
  const files: ResolvedFile[] = []
  for (const source of list) {
    try {
      files.push(...(await resolveDataFiles([source], baseDir)))
    } catch (error) {
      // As models that are not in the cache: fetched by a run, not here.
      const isToFetch =
        error instanceof ConfigError && error.code === 'HUB_NOT_FETCHED' && !hubSettings().isOffline
      if (!isToFetch) throw error
      warn(error.message)
    }
  }
  let numRead = 0
  for (const file of files) {
    try {
      for await (const document of readDocuments([{ ...file, limit: 1 }], { maxBadRecords })) {
        numRead++
        onDocument(document)
      }
    } catch (error) {
      // One empty file among others is no problem.
      if (!(error instanceof DataError && error.code === 'EMPTY_DATA')) throw error
    }
  }
  if (files.length > 0 && numRead === 0) {
    throw new DataError('EMPTY_DATA', `expected at least one record in ${files.length} files, found none`)
  }
  return files
}

/**
 * Where there are conversations there must be a template that can be read. A tokenizer that has not come yet may bring it.
 * @returns What keeps a model from learning where to stop.
 * @throws {ConfigError} CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_SYNTAX, FILE_NOT_FOUND.
 */
export async function requireChatTemplate(config: RunConfig, baseDir: string): Promise<readonly string[]> {
  const { folder } = findModelPlace(baseDir, config.tokenizer)
  const { chat_template } = config.data
  const isThere = folder !== undefined && existsSync(join(folder, 'tokenizer.json'))
  if (!isThere && chat_template === undefined) return []
  const { source, where } = findChatTemplate({
    baseDir,
    tokenizerFolder: folder ?? config.tokenizer,
    ...(chat_template === undefined ? {} : { configured: chat_template }),
  })
  compileChatTemplate(source, where)
  if (!isThere) return []
  return (await findTurnEnds(loadTokenizer(folder, chatOptions(config, baseDir)))).warnings
}
