import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { nn } from '@adapt-ts/torch'
import { afterAll, expect, it } from 'vitest'
import { CausalLM } from '../decoder/causal-lm.js'
import { TINY_CONFIG } from '../tiny-llama.test.fixture.js'
import { ModelShelf } from './model-folder.test.fixture.js'
import { saveModelFolder } from './save-model.js'

const shelf = new ModelShelf()
afterAll(() => shelf.remove())

/** Loads a small folder, then a large one, and prints how much the peak of the resident memory rose, in KiB. */
const PROGRAM = `
import { readFileSync } from 'node:fs'
import { loadModelFolder } from ${JSON.stringify(new URL('./load-model.js', import.meta.url).href)}
const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
const [, small, large] = process.argv
loadModelFolder(small, { dtype: 'auto' }).dispose()
const before = peak()
loadModelFolder(large, { dtype: 'auto' })
console.log(peak() - before)
`

it.skipIf(!existsSync('/proc/self/status'))('loading takes hardly more memory than the weights', () => {
  const model = nn.withParameterDefaults(
    { dtype: 'bfloat16' },
    () => new CausalLM({ ...TINY_CONFIG, vocabSize: 1 << 19, hiddenSize: 64, headDim: 16 }),
  )
  const large = shelf.folder()
  saveModelFolder(model, large, { maxShardSize: '70MB' })
  const bytes = 2 * model.numParameters
  model.dispose()
  const args = ['--input-type=module', '-e', PROGRAM, shelf.save({ dtype: 'bfloat16' }), large]
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const ratio = (1024 * Number(stdout)) / bytes
  expect(ratio, stderr).toBeGreaterThan(0.9)
  expect(ratio, stderr).toBeLessThan(1.1)
})
