#!/usr/bin/env node
// Finds a Python with transformers and PEFT and compares the project with them: npm run reference -- --python COMMAND
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const USAGE = `npm run reference -- [--python COMMAND] [--seed N] [--only stored|fresh]
Checks the stored reference cases and compares fresh random models, adapters and generation with the installed
PyTorch, transformers and PEFT. COMMAND: a Python in which \`pip install torch==2.13.0 transformers peft trl\` was done;
default $ADAPT_REFERENCE_PYTHON.`

function fail(message) {
  process.stderr.write(`error: ${message}\n`)
  process.exit(2)
}

function readOptions() {
  const options = { python: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } }
  try {
    return parseArgs({ options: { ...options, help: { type: 'boolean' } } }).values
  } catch (error) {
    return fail(`${error.message.split('\n')[0]} (--help lists the options)`)
  }
}

const { help, python = process.env.ADAPT_REFERENCE_PYTHON, seed, only } = readOptions()
if (help) {
  process.stdout.write(`${USAGE}\n`)
  process.exit(0)
}
if (!python)
  fail('no Python: give --python .venv/bin/python or set ADAPT_REFERENCE_PYTHON (--help says more)')
const wanted = spawnSync(python, ['-c', 'import numpy, torch, transformers, peft'], { encoding: 'utf8' })
if (wanted.error) fail(`--python ${python}: cannot be started (${wanted.error.code})`)
if (wanted.status !== 0) {
  const reason = wanted.stderr.trim().split('\n').at(-1)
  fail(
    `${python}: ${reason}; mend it with: ${python} -m pip install torch==2.13.0 transformers peft trl numpy`,
  )
}
if (!existsSync(fileURLToPath(new URL('../../packages/adapt/dist/index.js', import.meta.url)))) {
  fail('the project is not built: npm run setup')
}
const program = fileURLToPath(new URL('check_live.py', import.meta.url))
const passed = [...(seed ? ['--seed', seed] : []), ...(only ? ['--only', only] : [])]
const { status } = spawnSync(python, [program, '--node', process.execPath, ...passed], { stdio: 'inherit' })
process.exit(status ?? 1)
