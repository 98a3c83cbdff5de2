import { defineConfig } from 'vitest/config'

// Tests run the compiled output: what is tested is what ships, worker threads included.
export default defineConfig({
  test: {
    include: [
      'packages/*/dist/**/*.test.js',
      'test/dist/**/*.test.js',
      'packages/torch/setup/*.test.mjs',
      'scripts/**/*.test.mjs',
      'reliability/**/*.test.mjs',
    ],
    exclude: ['**/node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A mistyped path can look like a hub id: no test may ask the network.
    env: { ADAPT_NUM_THREADS: '1', HF_HUB_OFFLINE: '1', HF_HOME: '/nonexistent/huggingface' },
  },
})
