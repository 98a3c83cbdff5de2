// Instruction tuning on the shipped data: `npm run instruct [-- --set 'seeds=[0]']`.
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runCli } from '../packages/adapt/dist/cli/index.js'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const study = relative(process.cwd(), join(root, 'examples', 'instruct-study.yaml'))
const QUESTIONS = [
  'What does the SQL command DROP VIEW do?',
  'In the SQL command DROP VIEW, what is IF EXISTS?',
]

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

/** One `adapt` command, shown before it runs; a failure ends the process with its exit code. */
async function adapt(...args) {
  process.stdout.write(
    `\n$ adapt ${args.map((each) => (/[\s?[]/.test(each) ? `'${each}'` : each)).join(' ')}\n`,
  )
  const exitCode = await runCli(args)
  if (exitCode !== 0) process.exit(exitCode)
}

const options = readOptions()
if (options.help) {
  process.stdout.write(
    'npm run instruct [-- --set KEY=VALUE ...]: trains the arms of examples/instruct-study.yaml (LoRA and full fine-tuning, ' +
      'uniform and ADAPT), shows their differences and lets the result answer a question.\n',
  )
  process.exit(0)
}
const set = (options.set ?? []).flatMap((assignment) => ['--set', assignment])
const seeds = /^seeds=\[\s*(\d+)/.exec(options.set?.findLast((each) => each.startsWith('seeds=')) ?? '')
await adapt('compare', study, ...set)
// The same cells against the other uniform arm: nothing is trained again.
await adapt('compare', study, ...set, '--set', 'baseline=full-uniform', '--quiet')
const run = `runs/instruct-study/runs/lora-adapt-seed${seeds?.[1] ?? 0}`
for (const question of QUESTIONS) {
  await adapt('generate', '--model', run, '--prompt', question, '--max-new-tokens', '64')
}
