import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { noGrad, scope } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { loadModelFolder } from '../folder/load-model.js'
import { batchOf } from '../tiny-llama.test.fixture.js'
import { embedTokens } from './forward-pass.js'
import { toModelInputs } from './model-inputs.js'

// The data folder stands beside the repository on machines that have it.
const folder = fileURLToPath(new URL('../../../../../shared/data/checkpoints/stories260K', import.meta.url))
const isThere = existsSync(join(folder, 'golden.json'))

interface Reference {
  readonly greedy_ids_from_bos: number[]
  readonly tokens: number[]
  readonly nll_per_token: number[]
  readonly mean_nll: number
  readonly logits_at_position_0: number[]
  readonly logits_at_position_47: number[]
}

describe.skipIf(!isThere)(
  `stories260K${isThere ? '' : ' (skipped: the checkpoint is not beside the repository)'}`,
  () => {
    const reference = isThere
      ? (JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as Reference)
      : undefined

    /** Row-major [T, V] for one sequence. */
    const logitsOf = (tokens: readonly number[]): Float32Array => {
      const model = loadModelFolder(folder)
      try {
        return scope(() =>
          noGrad(() =>
            model.run(embedTokens(model, toModelInputs(batchOf([[{ tokens }]]), model.device))),
          ).toFloat32Array(),
        )
      } finally {
        model.dispose()
      }
    }
    const largestDifference = (a: ArrayLike<number>, b: readonly number[]) =>
      Math.max(...b.map((value, i) => Math.abs(value - a[i]!)))

    it('gives the logits of its authors within 1e-4', () => {
      const { tokens, logits_at_position_0, logits_at_position_47 } = reference!
      const logits = logitsOf(tokens)
      expect(largestDifference(logits.subarray(0, 512), logits_at_position_0)).toBeLessThan(1e-4)
      expect(largestDifference(logits.subarray(47 * 512, 48 * 512), logits_at_position_47)).toBeLessThan(1e-4)
    })

    it('gives their token losses', () => {
      const { tokens, nll_per_token, mean_nll } = reference!
      const logits = logitsOf(tokens)
      const losses = nll_per_token.map((_, t) => {
        const row = logits.subarray(t * 512, (t + 1) * 512)
        const largest = Math.max(...row)
        const total = row.reduce((sum, value) => sum + Math.exp(value - largest), 0)
        return Math.log(total) + largest - row[tokens[t + 1]!]!
      })
      expect(largestDifference(losses, nll_per_token)).toBeLessThan(1e-4)
      expect(losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toBeCloseTo(mean_nll, 3)
    })

    it('writes their story greedily', () => {
      const { greedy_ids_from_bos: ids } = reference!
      const logits = logitsOf(ids)
      const chosen = ids.slice(1).map((_, t) => {
        const row = logits.subarray(t * 512, (t + 1) * 512)
        return row.indexOf(Math.max(...row))
      })
      expect(chosen).toEqual(ids.slice(1))
    })
  },
)
