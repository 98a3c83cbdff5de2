import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { partsOf } from '../catalog/index.js'
import { loadConfig } from '../config/index.js'
import type { RunInputs } from '../open/index.js'
import { drawScored } from './scored-part.js'

const EXAMPLE = fileURLToPath(new URL('../../../../examples/first.yaml', import.meta.url))
const train = { numSamples: 100, length: () => 50 } as unknown as RunInputs['train']

/** Share of the pool that a run of one pass scores by perplexity: 2 N of a token, of a quarter of what training takes. */
async function shareOf(...set: string[]): Promise<number> {
  const { config, baseDir } = await loadConfig(EXAMPLE, { set: ['method=ppl', ...set] })
  const { signal, signalOptions } = partsOf(config.method)
  const context = { config, baseDir, inputs: { train, anchors: [] as RunInputs['anchors'] } as RunInputs }
  const { share, isScored } = drawScored(signal, signalOptions, { ...context, totalSteps: 10, passes: 1 })
  expect(Array.from({ length: 100 }, (_, i) => isScored(i)).filter(Boolean)).toHaveLength(
    Math.round(100 * share),
  )
  return share
}

describe('the share of the pool that is scored by default', () => {
  it('is what a quarter of the FLOPs of training pays for, as a run counts them', async () => {
    expect(await shareOf()).toBeCloseTo(0.75, 9)
    // One forward more.
    expect(await shareOf('training.gradient_checkpointing=true')).toBe(1)
    const lora = 'model={ path: base/model, lora: { r: 2 } }'
    expect(await shareOf(lora)).toBeCloseTo(0.5, 9)
    expect(await shareOf(lora, 'training.gradient_checkpointing=true')).toBeCloseTo(0.75, 9)
    expect(await shareOf('method.signal.scored=0.2')).toBe(0.2)
  })
})
