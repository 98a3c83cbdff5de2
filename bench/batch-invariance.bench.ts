/**
 * How far log-likelihoods of benchmark tasks depend on what is computed together: each text in a pass of its own against passes of 32 windows, in
 * float32 and with matrix products in bfloat16, with few-shot examples, in a window that cuts some contexts and in one that cuts none.
 *
 *   node bench/dist/batch-invariance.bench.js
 *
 * Model, tokenizer and tasks are those that the project ships. The last line of the output is one JSON object.
 */
import { join } from 'node:path'
import { evaluateTasks, findTasks, loadModelFolder, loadTokenizer, prepareTasks } from '@adapt-ts/adapt'
import { buildInfo } from '@adapt-ts/torch'
import { benchFolder } from './peer-process.js'
import { readOptions } from './read-options.js'

readOptions(import.meta.url, {})
const project = join(benchFolder, '..')
const tokenizer = loadTokenizer(join(project, 'examples/tokenizer'))
const model = loadModelFolder(join(project, 'examples/base/model'), { device: 'cpu' })
const names = ['science', 'letters', 'drawn', 'sentences', 'pairs', 'words']
const selection = await findTasks(
  names.map((name) => join(project, 'packages/adapt/golden/tasks', `${name}.yaml`)),
)
const prepared = await prepareTasks(selection, { numFewShot: 3 })

async function logLikelihoods(maxLength: number, maxPositions: number, autocastDtype?: 'bfloat16') {
  const settings = { maxLength, maxPositions, autocastDtype, bootstrapIterations: 0 }
  const { tasks } = await evaluateTasks(model, tokenizer, { selection, prepared }, settings)
  return {
    values: tasks.flatMap(({ samples }) =>
      samples.flatMap(({ responses }) =>
        responses.map((response) => ('text' in response ? Number.NaN : response.logLikelihood)),
      ),
    ),
    truncated: tasks.reduce((sum, { numTruncated }) => sum + numTruncated, 0),
    right: tasks.map(({ metrics }) => metrics[0]!.value),
  }
}
const distance = (a: readonly number[], b: readonly number[]) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)

console.log(`LibTorch ${buildInfo().libtorchVersion}, ${buildInfo().cpuCapability}; ${names.join(', ')}`)
const figures: Record<string, number> = {}
for (const maxLength of [48, 1024]) {
  const exact = await logLikelihoods(maxLength, 1)
  const together = await logLikelihoods(maxLength, 32 * maxLength)
  const alone16 = await logLikelihoods(maxLength, 1, 'bfloat16')
  const together16 = await logLikelihoods(maxLength, 32 * maxLength, 'bfloat16')
  figures[`float32_batch_1_to_32_window_${maxLength}`] = distance(exact.values, together.values)
  figures[`bfloat16_batch_1_to_32_window_${maxLength}`] = distance(alone16.values, together16.values)
  figures[`bfloat16_to_float32_window_${maxLength}`] = distance(exact.values, alone16.values)
  console.log(
    `window ${maxLength}: ${exact.values.length} log-likelihoods from ${Math.min(...exact.values).toFixed(1)} to ${Math.max(...exact.values).toFixed(1)}, ${exact.truncated} contexts cut`,
  )
  console.log(
    `first metric of each task: float32 ${exact.right.join(' ')}; bfloat16, batch 1 ${alone16.right.join(' ')}, batch 32 ${together16.right.join(' ')}`,
  )
}
model.dispose()
console.log(JSON.stringify(figures))
