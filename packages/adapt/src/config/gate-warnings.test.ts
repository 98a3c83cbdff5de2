import { expect, it } from 'vitest'
import { runConfigSchema } from './run-config.js'
import { configWarnings } from './validate-config.js'

it('warns of a gate that has nothing to weigh by, not of one that weighs by sources', () => {
  const warningsOf = (method: unknown) =>
    configWarnings(
      runConfigSchema.parse({
        ...{ model: { init: 'scratch', preset: 'llama-1m' }, tokenizer: 't', data: { train: ['a'] } },
        ...{ output_dir: 'o', method },
      }),
    ).join()
  const alike = /every sample the same weight/
  expect(warningsOf({ preset: 'uniform', gate: { kind: 'linear' } })).toMatch(alike)
  expect(warningsOf({ preset: 'static', apply: 'loss' })).not.toMatch(alike)
})
