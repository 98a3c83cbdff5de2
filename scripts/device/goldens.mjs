// goldens.mjs --device D [--all]: the tests against reference files on a device, through run-tests.mjs.
// --all: every test of the folders whose code touches tensors, but those that bring a device of their own.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { TESTED_FOLDERS } from './tested-folders.mjs'

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    all: { type: 'boolean', default: false },
  },
})
const adapt = 'packages/adapt/dist'
const golden = [
  ...readdirSync(`${adapt}/train`)
    .filter((file) => /^golden-.*\.test\.js$/.test(file))
    .map((file) => `${adapt}/train/${file}`),
  `${adapt}/model/decoder/reference-checkpoint.test.js`,
  `${adapt}/generate/generate-tokens.test.js`,
  ...['attend-sequences', 'forward-pass'].map((name) => `${adapt}/model/decoder/${name}.test.js`),
  ...['packing', 'step-inputs'].map((name) => `${adapt}/train/${name}.test.js`),
  'packages/torch/dist/optim',
]
const all = TESTED_FOLDERS.flatMap((folder) =>
  readdirSync(`${adapt}/${folder}`, { recursive: true })
    .filter((file) => file.endsWith('.test.js') && !path.basename(file).startsWith('device-'))
    .sort()
    .map((file) => `${adapt}/${folder}/${file}`),
)
const names = (values.all ? all : golden).filter((name) => existsSync(name))
const jobs = Math.max(1, Math.min(12, os.availableParallelism() - 2))
const { nn } = await import('../../packages/torch/dist/index.js')
process.env.ADAPT_TORCH_TESTING_DEFAULT_DEVICE = values.device
function parameterDevice() {
  try {
    return new nn.RMSNorm(2).weight.device
  } catch (error) {
    return `nothing (${error.message.split('\n')[0]})`
  }
}
const found = parameterDevice()
if (found.split(':')[0] !== values.device.split(':')[0]) {
  console.error(`the tests were to run on ${values.device}, but parameters are made on ${found}`)
  process.exit(1)
}
const { status } = spawnSync(
  process.execPath,
  [fileURLToPath(new URL('./run-tests.mjs', import.meta.url)), '--jobs', String(jobs), ...names],
  {
    stdio: 'inherit',
    env: { ...process.env, ADAPT_NUM_THREADS: '1' },
  },
)
process.exitCode = status ?? 1
