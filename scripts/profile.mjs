// Where the time of a training step goes: `npm run profile -- CONFIG [--steps 5] [--set KEY=VALUE ...]`.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { profileCommand, reportError, safeIo } from '../packages/adapt/dist/cli/index.js'

const USAGE =
  'npm run profile -- CONFIG [--steps 5] [--set KEY=VALUE ...] [--output-dir DIR]\n' +
  'Trains three steps to warm up and records the next ones; prints the share of every operator and leaves a trace\n' +
  'that chrome://tracing and ui.perfetto.dev open. The run folder is a temporary one where none is named.\n'

/** Reads the command line, or ends the process with one line and exit code 2. */
function readCommandLine() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        steps: { type: 'string', default: '5' },
        set: { type: 'string', multiple: true },
        'output-dir': { type: 'string' },
        help: { type: 'boolean' },
      },
    })
    if (values.help) {
      process.stdout.write(USAGE)
      process.exit(0)
    }
    if (positionals.length !== 1) throw new Error(`expected one config, received ${positionals.length}`)
    if (!/^[1-9]\d{0,5}$/.test(values.steps))
      throw new Error(`--steps: expected a whole number >= 1, received ${values.steps}`)
    return { ...values, config: positionals[0] }
  } catch (error) {
    process.stderr.write(`error: ${error.message.split('\n')[0]}\n${USAGE}`)
    process.exit(2)
  }
}

const { config, steps, set, 'output-dir': outputDir } = readCommandLine()
const io = safeIo(process)
try {
  await profileCommand(
    config,
    {
      numSteps: Number(steps),
      ...(set ? { set } : {}),
      outputDir: outputDir ?? mkdtempSync(join(tmpdir(), 'adapt-profile-')),
    },
    io,
  )
} catch (error) {
  process.exitCode = await reportError(error, io)
}
