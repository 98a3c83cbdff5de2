import { join } from 'node:path'
import { distributed } from '@adapt-ts/torch'
import { loadConfig } from '../../config/index.js'
import { AdaptError } from '../../errors.js'
import { currentEvents, readEvents } from '../../record/index.js'
import type { TrainingRequest } from '../../run/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { assignments } from '../terminal/option-parsers.js'
import { createProgress, type Progress } from '../terminal/progress.js'
import { renderProfile } from '../terminal/render-profile.js'
import { renderChange, renderPlaces } from '../terminal/render-run.js'
import { renderTasks } from '../terminal/render-tasks.js'
import { shortenPath } from '../terminal/shorten-path.js'

export interface TrainOptions {
  readonly set?: readonly string[]
  readonly device?: string
  readonly outputDir?: string
  readonly overwrite?: boolean
  readonly quiet?: boolean
  readonly profile?: boolean
  readonly profileSteps?: { readonly first: number; readonly last: number }
}

/** `adapt train CONFIG` */
export async function trainCommand(path: string, options: TrainOptions, io: CliIo): Promise<void> {
  performance.mark('adapt:command')
  const { config, warnings, baseDir } = await loadConfig(path, {
    env: io.env,
    set: assignments(options),
    ...(options.outputDir === undefined ? {} : { outputDir: options.outputDir }),
  })
  performance.mark('adapt:config')
  // Of several ranks one speaks.
  const isFirst = (distributed.readLaunch(io.env)?.rank ?? 0) === 0
  for (const warning of isFirst ? warnings : []) io.stderr.line(`warning: ${warning}`)
  const { runTraining } = await import('../../run/index.js')
  performance.mark('adapt:program')
  const isQuiet = options.quiet === true
  let progress: Progress | undefined
  const progressOf = (totalSteps: number): Progress => {
    progress ??= createProgress({
      totalSteps,
      loggingSteps: config.training.logging_steps,
      stream: io.stdout,
      isTty: io.stdout.isTTY === true,
      explains: true,
    })
    return progress
  }
  try {
    const { outputDir, reportPath, tasks } = await runTraining({
      config,
      baseDir,
      overwrite: options.overwrite === true,
      ...profiling(options, (text) => {
        if (isQuiet || progress === undefined) io.stdout.write(text)
        else for (const line of text.split('\n')) progress.line(line)
      }),
      onLine: (line) => {
        if (isQuiet) {
          if (line.startsWith('warning')) io.stderr.line(line)
        } else if (progress === undefined) io.stdout.line(line)
        else progress.line(line)
      },
      onStep: (record, totalSteps) => {
        if (!isQuiet) progressOf(totalSteps).step(record)
      },
      onEvaluation: (numDone, step, totalSteps, task) => {
        if (!isQuiet) progressOf(totalSteps).evaluation(numDone, step, task)
      },
    })
    progress?.done()
    progress = undefined
    if (!isFirst) return
    const change = isQuiet ? '' : changeOf(outputDir)
    if (tasks !== undefined && !isQuiet) io.stdout.write(`\n${renderTasks(tasks.figures)}\n`)
    io.stdout.write(`${change === '' ? '' : `\n${change}\n`}${renderPlaces(outputDir, reportPath, !isQuiet)}`)
  } finally {
    progress?.done()
  }
}

/** `--profile-steps` says which steps and asks for the profile too. */
function profiling(
  { profile, profileSteps }: TrainOptions,
  write: (text: string) => void,
): Pick<TrainingRequest, 'profile' | 'onProfile'> {
  if (profile !== true && profileSteps === undefined) return {}
  return {
    profile: profileSteps ?? {},
    onProfile: (summary, path) => write(`\n${renderProfile(summary)}\ntrace   ${shortenPath(path)}\n`),
  }
}

/** Empty where the log was removed or damaged, which the run's warnings tell. */
function changeOf(outputDir: string): string {
  try {
    return renderChange(currentEvents(readEvents(join(outputDir, 'events.jsonl')).events))
  } catch (error) {
    if (error instanceof AdaptError) return ''
    throw error
  }
}
