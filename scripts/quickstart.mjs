// The project's main job on the shipped data: `npm run quickstart [-- --set training.max_steps=300]`.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { quickstartCommand, reportError, safeIo } from '../packages/adapt/dist/cli/index.js'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const io = safeIo(process)

/** Reads the command line, or ends the process with one line and exit code 2. */
function readOptions() {
  try {
    return parseArgs({ options: { set: { type: 'string', multiple: true }, help: { type: 'boolean' } } })
      .values
  } catch (error) {
    process.stderr.write(`error: ${error.message.split('\n')[0]}\n`)
    process.exit(2)
  }
}

const options = readOptions()
if (options.help) {
  process.stdout.write(
    'npm run quickstart [-- --set KEY=VALUE ...]: trains examples/quickstart.yaml with three methods.\n',
  )
  process.exit(0)
}
try {
  await quickstartCommand(
    {
      config: join(root, 'examples', 'quickstart.yaml'),
      outputDir: 'runs/quickstart',
      anchoredSource: 'sql-commands',
      noiseSource: 'noise',
      ...(options.set ? { set: options.set } : {}),
    },
    io,
  )
} catch (error) {
  process.exitCode = await reportError(error, io)
}
