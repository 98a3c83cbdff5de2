import { defineConfig } from 'vitest/config'
import { buildTestingDevice } from './packages/torch/testing-device/build.mjs'
import { TESTED_FOLDERS } from './scripts/device/tested-folders.mjs'
import { together } from './vitest.config.js'

// The same tests once more, with models made on a device that is not the CPU.
export default defineConfig(async () => ({
  test: {
    ...together,
    setupFiles: ['packages/torch/testing-device/second-run.mjs'],
    include: TESTED_FOLDERS.map((folder) => `packages/adapt/dist/${folder}/**/*.test.js`),
    // These have a device in either run.
    exclude: ['**/node_modules/**', '**/device-*.test.js'],
    env: {
      ...together.env,
      ADAPT_TORCH_TESTING_DEVICE: await buildTestingDevice(),
      ADAPT_TORCH_TESTING_DEFAULT_DEVICE: 'privateuseone:0',
    },
  },
}))
