import { defineConfig } from 'vitest/config'
import { buildTestingDevice } from './packages/torch/testing-device/build.mjs'
import base from './vitest.config.js'

/** What touches tensors; the rest would only run twice. */
const folders = [
  'model',
  'generate',
  'loss',
  'method',
  'signal',
  'gate',
  'catalog',
  'train',
  'checkpoint',
  'eval',
]

// The same tests once more, with models made on a device that is not the CPU.
export default defineConfig(async () => ({
  test: {
    ...base.test,
    setupFiles: ['packages/torch/testing-device/second-run.mjs'],
    include: folders.map((folder) => `packages/adapt/dist/${folder}/**/*.test.js`),
    // These have a device in either run.
    exclude: [...(base.test?.exclude ?? []), '**/device-*.test.js'],
    env: {
      ...base.test?.env,
      ADAPT_TORCH_TESTING_DEVICE: await buildTestingDevice(),
      ADAPT_TORCH_TESTING_DEFAULT_DEVICE: 'privateuseone:0',
    },
  },
}))
