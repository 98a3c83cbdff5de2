import { loadConfig } from '../config/index.js'
import { runTraining } from './run-training.js'

/**
 * A process that trains a config and sends itself a signal at the first line that begins so, which is the same place each time.
 * Arguments: config, signal, beginning of the line, assignments over the config.
 */
const [path, signal, beginning, ...set] = process.argv.slice(2) as [string, NodeJS.Signals, string]
let isSent = false
try {
  await runTraining({
    ...(await loadConfig(path, { set })),
    overwrite: false,
    onStep: () => {},
    onLine: (line) => {
      if (isSent || !line.startsWith(beginning)) return
      isSent = true
      process.kill(process.pid, signal)
    },
  })
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = (error as { exitCode?: number }).exitCode ?? 70
}
