import { loadConfig } from '../../config/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderProfile } from '../terminal/render-profile.js'
import { shortenPath } from '../terminal/shorten-path.js'

export interface ProfileOptions {
  /** Steps that are recorded, after three to warm up. */
  readonly numSteps: number
  readonly outputDir: string
  readonly set?: readonly string[]
}

/** `npm run profile`: the first steps of a config's run and no evaluation; where their time goes. */
export async function profileCommand(
  path: string,
  { numSteps, outputDir, set = [] }: ProfileOptions,
  io: CliIo,
): Promise<void> {
  const { config, warnings, baseDir } = await loadConfig(path, { env: io.env, set, outputDir })
  for (const warning of warnings) io.stderr.line(`warning: ${warning}`)
  const { every_steps: _, ...evaluation } = config.evaluation
  const { runTraining } = await import('../../run/index.js')
  await runTraining({
    config: { ...config, evaluation },
    baseDir,
    overwrite: false,
    stopAfterStep: 3 + numSteps,
    profile: { first: 4, last: 3 + numSteps },
    onLine: (line) => (line.startsWith('warning') ? io.stderr : io.stdout).line(line),
    onStep: () => {},
    onProfile: (summary, trace) =>
      io.stdout.write(`\n${renderProfile(summary)}\ntrace   ${shortenPath(trace)}\n`),
  })
}
