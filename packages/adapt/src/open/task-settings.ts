import { closeSync, openSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { compileChatTemplate, renderPrompt } from '../chat-template/index.js'
import { makeFolder } from '../dataset/make-folder.js'
import { ConfigError } from '../errors.js'
import {
  type PrepareTaskOptions,
  type ResultsHead,
  sampleJson,
  samplesFile,
  type TaskEvaluation,
} from '../tasks/index.js'
import type { Tokenizer } from '../tokenize/index.js'
import { packageVersion } from '../version.js'

/** How tasks are asked, of one evaluation as of a run. */
export interface TaskSettings {
  readonly numFewShot?: number
  readonly fewShotSeed?: number
  /** Documents a task, or below 1 a share of them. */
  readonly limit?: number
  readonly addBosToken?: boolean
  readonly applyChatTemplate?: boolean
  readonly fewShotAsMultiturn?: boolean
  readonly system?: string
}

/**
 * How the documents of tasks become prompts.
 * @param report.key  That asks for the chat template, for the message.
 * @throws {ConfigError} NO_CHAT_TEMPLATE
 */
export function taskPrepareOptions(
  settings: TaskSettings,
  tokenizer: Tokenizer,
  { onLine, key }: { readonly onLine: (line: string) => void; readonly key: string },
): PrepareTaskOptions {
  const { numFewShot, fewShotSeed, limit, system } = settings
  const common = {
    onLine,
    ...(numFewShot === undefined ? {} : { numFewShot }),
    ...(fewShotSeed === undefined ? {} : { seed: fewShotSeed }),
    ...(limit === undefined ? {} : { limit }),
    ...(system === undefined ? {} : { system }),
  }
  if (!settings.applyChatTemplate) return common
  const { template, problem, specialTokens } = tokenizer.chat
  if (template === undefined) {
    throw new ConfigError(
      'NO_CHAT_TEMPLATE',
      `${key}: expected a tokenizer with a chat template, found none${problem === undefined ? '' : `: ${problem}`}`,
    )
  }
  const compiled = compileChatTemplate(template.source, template.where)
  return {
    ...common,
    chat: {
      isMultiturn: settings.fewShotAsMultiturn === true,
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

/** What results say of the settings. */
export function headOf(
  { limit, fewShotSeed, system, applyChatTemplate, fewShotAsMultiturn }: TaskSettings,
  tokenizer: Tokenizer,
): Pick<
  ResultsHead,
  'batchSize' | 'limit' | 'fewShotSeed' | 'version' | 'system' | 'chatTemplate' | 'isMultiturn'
> {
  return {
    batchSize: 'auto',
    limit,
    fewShotSeed: fewShotSeed ?? 1234,
    version: packageVersion(),
    system,
    chatTemplate: applyChatTemplate ? tokenizer.chat.template?.source : undefined,
    isMultiturn: fewShotAsMultiturn === true,
  }
}

/** Leaves `results.json` and a file of samples for each task in a folder. */
export function writeTaskResults(
  folder: string,
  evaluation: TaskEvaluation,
  json: Record<string, unknown>,
): void {
  makeFolder(folder)
  // Each whole or as it was.
  const write = (name: string, lines: Iterable<string>) => {
    const path = join(folder, name)
    const handle = openSync(`${path}.${process.pid}`, 'w')
    try {
      for (const line of lines) writeSync(handle, `${line}\n`)
    } finally {
      closeSync(handle)
    }
    renameSync(`${path}.${process.pid}`, path)
  }
  for (const { name, samples } of evaluation.tasks) {
    write(samplesFile(name), samples.map(sampleJson))
  }
  write('results.json', [JSON.stringify(json, null, 2)])
}
