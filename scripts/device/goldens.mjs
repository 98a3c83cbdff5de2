// goldens.mjs --device D [--all]: the tests against reference files on a device, through run-tests.mjs.
// --all: every test of the folders whose code runs on a device.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import os from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

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
  `${adapt}/train/autocast.test.js`,
  'packages/torch/dist/optim',
]
const folders = ['train', 'model', 'method', 'signal', 'generate', 'loss', 'gate', 'eval', 'checkpoint']
const all = [...folders.map((folder) => `${adapt}/${folder}`), 'packages/torch/dist']
const names = (values.all ? all : golden).filter((name) => existsSync(name))
const jobs = Math.max(1, Math.min(12, os.availableParallelism() - 2))
const { status } = spawnSync(
  process.execPath,
  [fileURLToPath(new URL('./run-tests.mjs', import.meta.url)), '--jobs', String(jobs), ...names],
  {
    stdio: 'inherit',
    env: { ...process.env, ADAPT_NUM_THREADS: '1', ADAPT_TEST_DEVICE: values.device },
  },
)
process.exitCode = status ?? 1
