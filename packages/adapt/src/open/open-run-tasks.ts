import { type RunConfig, resolveConfigPath } from '../config/index.js'
import type { OverlapCounts } from '../contamination/index.js'
import {
  type EncodedTask,
  encodeTasks,
  findTasks,
  localPaths,
  prepareTasks,
  type TaskSelection,
} from '../tasks/index.js'
import type { Tokenizer } from '../tokenize/index.js'
import { checkTaskOverlap } from './check-task-overlap.js'
import { findAnchored } from './find-task-overlap.js'
import { type TaskSettings, taskPrepareOptions } from './task-settings.js'

/** The tasks of a run, ready to be asked many times. */
export interface RunTasks {
  readonly selection: TaskSelection
  readonly prepared: readonly EncodedTask[]
  readonly settings: TaskSettings
  /** Names of the tasks whose data the anchors share; undefined where no anchors are known. */
  readonly anchored: ReadonlySet<string> | undefined
  /** Text of their documents that the training data has, by task; undefined where it was not looked for. */
  readonly trainingOverlap: readonly OverlapCounts[] | undefined
  /** Positions of the window: those that the run trains with. */
  readonly maxLength: number
}

/** What tasks are opened for, and who is told meanwhile. */
interface OpeningTasks {
  readonly tokenizer: Tokenizer
  /** Identifies the training data. */
  readonly trainFingerprint: string
  readonly onLine: (line: string) => void
}

/** The tasks that `evaluation.tasks` names; files and folders are relative to the config. @throws what `findTasks` throws. */
export function findRunTasks({ evaluation }: RunConfig, baseDir: string): Promise<TaskSelection> {
  const { tasks, task_options } = evaluation
  const names = tasks.map((name) => (/\.ya?ml$/.test(name) ? resolveConfigPath(baseDir, name) : name))
  const includePaths = task_options.include_path.map((path) => resolveConfigPath(baseDir, path))
  return findTasks(names, { includePaths, where: 'evaluation.tasks' })
}

/**
 * Reads, checks and tokenises the tasks of a run; undefined for a run without.
 * @throws {ConfigError} NO_CHAT_TEMPLATE, WINDOW_TOO_SMALL, TASK_OVERLAP, what `findTasks` throws. @throws {DataError} for documents that a task cannot be
 *   made of.
 */
export async function openRunTasks(
  config: RunConfig,
  baseDir: string,
  { tokenizer, trainFingerprint, onLine }: OpeningTasks,
): Promise<RunTasks | undefined> {
  if (config.evaluation.tasks.length === 0) return undefined
  const selection = await findRunTasks(config, baseDir)
  const settings = taskSettingsOf(config)
  const key = 'evaluation.task_options.apply_chat_template'
  const read = await prepareTasks(selection, taskPrepareOptions(settings, tokenizer, { onLine, key }))
  const maxLength = config.data.max_length
  const prepared = await encodeTasks(read, tokenizer, {
    maxLength,
    addBosToken: settings.addBosToken,
    windowKey: 'data.max_length',
  })
  const overlap = await findAnchored(read, { config, baseDir }, onLine)
  const trainingOverlap = await checkTaskOverlap(read, { config, baseDir, trainFingerprint, onLine })
  return { selection, prepared, settings, anchored: overlap?.anchored, trainingOverlap, maxLength }
}

/** `evaluation.task_options` in the words of `evaluateModelTasks`. */
export function taskSettingsOf({ evaluation }: RunConfig): TaskSettings {
  const { limit, num_fewshot, fewshot_seed, system_instruction, add_bos_token } = evaluation.task_options
  const { apply_chat_template, fewshot_as_multiturn } = evaluation.task_options
  return {
    fewShotSeed: fewshot_seed,
    applyChatTemplate: apply_chat_template,
    fewShotAsMultiturn: fewshot_as_multiturn,
    ...(limit === undefined ? {} : { limit }),
    ...(num_fewshot === undefined ? {} : { numFewShot: num_fewshot }),
    ...(system_instruction === undefined ? {} : { system: system_instruction }),
    ...(add_bos_token === undefined ? {} : { addBosToken: add_bos_token }),
  }
}

/** Files and folders of this machine that the tasks of a config are read from. */
export async function runTaskPaths(config: RunConfig, baseDir: string): Promise<readonly string[]> {
  if (config.evaluation.tasks.length === 0) return []
  const { tasks } = await findRunTasks(config, baseDir)
  return tasks.flatMap(localPaths)
}
