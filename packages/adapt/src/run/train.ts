import { resolve } from 'node:path'
import { configWarnings, parseConfig, type RunOptions } from '../config/index.js'
import type { TrainingOutcome, TrainingRequest } from './run-parts.js'
import { runTraining } from './run-training.js'

/** What a caller of `train` may want besides the run itself. */
export type TrainHooks = Partial<Omit<TrainingRequest, 'config'>>

/**
 * Trains what `options` describe and leaves a run folder, as `adapt train` does for a config file; goes on with the run
 * in `outputDir` when that was interrupted. Prints nothing. While it runs, SIGINT, SIGTERM and SIGUSR1 save and stop it.
 *
 * @param options  The keys of a config file in camelCase; see `parseConfig`.
 * @param hooks.baseDir  Folder that paths are relative to. Default: the working directory.
 * @param hooks.overwrite  Replace a finished run in `outputDir`. Default false.
 * @param hooks.stopAfterStep  Save a checkpoint after this many steps and return.
 * @param hooks.signals  Signals of your own, by the name of `method.signal: { kind: 'custom', name }`; objects or factories.
 * @param hooks.gates  The same for `method.gate`.
 * @param hooks.onStep  Called after each optimiser step with its record and the number of all steps.
 * @param hooks.profile  Record where the time of some steps goes; `onProfile` gets the result.
 * @param hooks.onLine  Gets what the command would print: refreshes, evaluations, warnings.
 * @returns Where the run folder and the report are, the record of each step and the last evaluation.
 * @throws {ConfigError} for options and missing files. @throws {DataError} for data. @throws {NumericError}
 *   NOT_FINITE. @throws {AdaptError} INTERRUPTED after a signal: all is saved, and the same call goes on.
 * @throws {TorchError} ADDON_NOT_BUILT before `adapt setup` was run.
 * @example
 * const { outputDir } = await train(options, { onStep: ({ step, lossWeighted }) => console.log(step, lossWeighted) })
 */
export async function train(options: RunOptions, hooks: TrainHooks = {}): Promise<TrainingOutcome> {
  const config = parseConfig(options)
  const request = { overwrite: false, onLine: () => {}, onStep: () => {}, ...hooks, config }
  for (const warning of configWarnings(config)) request.onLine(`warning: ${warning}`)
  return await runTraining({ ...request, baseDir: resolve(hooks.baseDir ?? '.') })
}
