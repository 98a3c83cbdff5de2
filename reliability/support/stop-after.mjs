// Usage: stop-after.mjs STEP api|SIGTERM CONFIG OUTPUT_DIR [ASSIGNMENT...]
// Trains through the library up to a step and stops there: as a trunk stops, or by a signal that comes with that step.
import { loadConfig, runTraining } from '@adapt-ts/adapt'

const [, , step, how, configPath, outputDir, ...set] = process.argv
const stopStep = Number(step)
const { config, baseDir } = await loadConfig(configPath, { set, outputDir })
try {
  await runTraining({
    config,
    baseDir,
    overwrite: false,
    onLine: () => {},
    onStep: (record) => {
      if (how !== 'api' && record.step === stopStep) process.kill(process.pid, how)
    },
    ...(how === 'api' ? { stopAfterStep: stopStep } : {}),
  })
  process.exit(0)
} catch (error) {
  process.stderr.write(`${error.code ?? ''} ${error.message}\n`)
  process.exit(error.exitCode ?? 1)
}
