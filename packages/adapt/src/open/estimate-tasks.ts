import { type RunConfig, resolveConfigPath } from '../config/index.js'
import { AdaptError } from '../errors.js'
import { findModelPlace } from '../hub/index.js'
import { forwardFlops } from '../method/flops.js'
import { encodeTasks, positionsOfTasks, prepareTasks } from '../tasks/index.js'
import { loadTokenizer } from '../tokenize/index.js'
import { findRunTasks, taskSettingsOf } from './open-run-tasks.js'
import { cpuPositions } from './pass-limits.js'
import { taskPrepareOptions } from './task-settings.js'

/** What the tasks of a run take. */
export interface TasksEstimate {
  /** Requests of one evaluation, and positions that the model computes for them, at most. */
  readonly requests: number
  readonly positions: number
  /** Evaluations of the run: at the start, on the cadence and at the end. */
  readonly evaluations: number
  /** Of all of them: a forward for each position. */
  readonly flops: number
  /** Host memory of the requests in tokens, held through the run. */
  readonly bytes: number
  /** Tasks whose data is not on this machine: not counted. */
  readonly absent: readonly string[]
}

/**
 * Counts what `evaluation.tasks` of a config asks; undefined without tasks. Nothing is fetched.
 * @param size.params  Of the model. @param size.totalSteps  Undefined where it is not known: the last evaluation alone is counted.
 * @throws what `openRunTasks` throws.
 */
export async function estimateRunTasks(
  config: RunConfig,
  baseDir: string,
  { params, totalSteps }: { readonly params: number; readonly totalSteps: number | undefined },
): Promise<TasksEstimate | undefined> {
  if (config.evaluation.tasks.length === 0) return undefined
  const { tasks } = await findRunTasks(config, baseDir)
  const { folder } = findModelPlace(baseDir, config.tokenizer)
  const tokenizer = loadTokenizer(folder ?? resolveConfigPath(baseDir, config.tokenizer))
  const settings = taskSettingsOf(config)
  const key = 'evaluation.task_options.apply_chat_template'
  const options = {
    ...taskPrepareOptions(settings, tokenizer, { onLine: () => {}, key }),
    env: { ...process.env, HF_HUB_OFFLINE: '1' },
  }
  const absent: string[] = []
  let [requests, positions, bytes] = [0, 0, 0]
  for (const task of tasks) {
    try {
      const encoded = await encodeTasks(
        await prepareTasks({ tasks: [task], groups: [] }, options),
        tokenizer,
        {
          maxLength: config.data.max_length,
          addBosToken: settings.addBosToken,
          windowKey: 'data.max_length',
        },
      )
      for (const { items, encoded: found } of encoded) {
        requests += items.reduce((sum, one) => sum + one.requests.length, 0)
        for (const { input, targets } of found.texts.flat()) bytes += input.byteLength + targets.byteLength
        for (const tokens of found.contexts.values()) bytes += tokens.byteLength
      }
      positions += positionsOfTasks(encoded, cpuPositions(params))
    } catch (error) {
      if (!(error instanceof AdaptError && error.code.startsWith('HUB_'))) throw error
      absent.push(task.name)
    }
  }
  const { every_steps: own } = config.evaluation.task_options
  const every = own ?? config.evaluation.every_steps
  const evaluations =
    every === undefined || totalSteps === undefined
      ? 1
      : Math.ceil(totalSteps / (every < 1 ? Math.ceil(every * totalSteps) : every)) + 1
  const flops = evaluations * forwardFlops(params, positions)
  return { requests, positions, evaluations, flops, bytes, absent }
}
