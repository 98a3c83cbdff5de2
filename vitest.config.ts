import { defineConfig } from 'vitest/config'

/**
 * Files that need a process of their own: they load the testing device, which must come before the engine, or replace modules,
 * which others would go on to see.
 */
const APART = [
  '**/catalog/device-steps.test.js',
  '**/cli/verbs/estimate-here.test.js',
  '**/distributed/device-ranks.test.js',
  '**/eval/device-eval.test.js',
  '**/generate/device-generate.test.js',
  '**/model/device-model.test.js',
  '**/open/tokenizer-snapshot.test.js',
  '**/run/device-of-run.test.js',
  '**/safetensors-device.test.js',
  '**/signal/gather-in-order.test.js',
  '**/testing/testing-device.test.js',
  '**/train/device-memory.test.js',
  '**/train/device-mistakes.test.js',
]
const NEVER = ['**/node_modules/**']

/** What all runs of tests share. The compiled output is tested: what is tested is what ships, worker threads included. */
export const common = {
  pool: 'forks',
  maxWorkers: 2,
  testTimeout: 120_000,
  hookTimeout: 120_000,
  // A mistyped path can look like a hub id: no test may ask the network.
  env: { ADAPT_NUM_THREADS: '1', HF_HUB_OFFLINE: '1', HF_HOME: '/nonexistent/huggingface' },
} as const

/** Two processes share the files: a process each would load the engine and every module again for each of hundreds of files. */
export const together = { ...common, isolate: false } as const

export default defineConfig({
  test: {
    ...common,
    projects: [
      {
        test: {
          ...together,
          name: 'together',
          include: [
            'packages/*/dist/**/*.test.js',
            'test/dist/**/*.test.js',
            'packages/torch/setup/*.test.mjs',
            'scripts/**/*.test.mjs',
            'reliability/**/*.test.mjs',
          ],
          exclude: [...NEVER, ...APART],
        },
      },
      { test: { ...common, name: 'apart', include: APART, exclude: NEVER } },
    ],
  },
})
