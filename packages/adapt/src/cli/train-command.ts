import { loadConfig } from '../config/index.js'
import type { CliIo } from './cli-io.js'
import { createProgress, type Progress } from './progress.js'
import { shortenPath } from './shorten-path.js'

export interface TrainOptions {
  readonly set?: readonly string[]
  readonly outputDir?: string
  readonly overwrite?: boolean
  readonly quiet?: boolean
}

/** `adapt train CONFIG` */
export async function trainCommand(path: string, options: TrainOptions, io: CliIo): Promise<void> {
  const { config, warnings, baseDir } = await loadConfig(path, {
    env: io.env,
    ...(options.set === undefined ? {} : { set: options.set }),
    ...(options.outputDir === undefined ? {} : { outputDir: options.outputDir }),
  })
  for (const warning of warnings) io.stderr.line(`warning: ${warning}`)
  const { runTraining } = await import('../experiment/index.js')
  let progress: Progress | undefined
  try {
    const { outputDir, reportPath } = await runTraining({
      config,
      baseDir,
      overwrite: options.overwrite === true,
      onLine: (line) => {
        if (options.quiet === true) return
        if (progress === undefined) io.stdout.line(line)
        else progress.line(line)
      },
      onStep: (record, totalSteps) => {
        if (options.quiet === true) return
        progress ??= createProgress({
          totalSteps,
          loggingSteps: config.training.logging_steps,
          stream: io.stdout,
          isTty: io.stdout.isTTY === true,
        })
        progress.step(record)
      },
    })
    progress?.done()
    progress = undefined
    io.stdout.write(`run     ${shortenPath(outputDir)}\nreport  ${shortenPath(reportPath)}\n`)
  } finally {
    progress?.done()
  }
}
