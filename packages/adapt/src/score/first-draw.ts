/** P samples of the training data. */
import { createGate, type MethodContext, runFactsOf } from '../catalog/index.js'
import type { RunConfig } from '../config/index.js'
import type { OrderedData } from '../open/index.js'
import { beforeTraining } from '../prepare/index.js'

/** Steps of the run that a first draw is looked for in, which is long enough for every warm-up that is a share of it. */
const STEPS = 60

/**
 * How often the first draw of a run reads each sample, in units of the mean, when all of them are scored; undefined for a gate that does not draw
 * samples.
 *
 * @param scoreOf  Score of a sample; one that is no finite number is not drawn.
 * @returns float32 [P].
 */
export function firstDraw(
  config: RunConfig,
  { train, isPlainText, mixing }: OrderedData,
  scoreOf: (index: number) => number,
): Float32Array | undefined {
  const context: MethodContext = {
    ...{ totalSteps: STEPS, stepsPerEpoch: STEPS, isPlainText },
    ...{ seed: config.training.seed, dataset: train, mixing },
  }
  const gate = createGate(config.method, context)
  try {
    const step = Array.from({ length: STEPS }, (_, i) => i).find((i) => gate.wants?.(i) !== undefined)
    if (step === undefined) return undefined
    const index = Uint32Array.from({ length: train.numSamples }, (_, i) => i)
    const labels = Float64Array.from(index, (i) => train.labelCount(i))
    const pool = { index, score: Float32Array.from(index, scoreOf), labels }
    gate.observePool?.(pool, { ...beforeTraining(runFactsOf(context)), step })
    const weight_P = gate.draw?.()?.weight_P
    if (weight_P === undefined) return undefined
    const mean = weight_P.reduce((a, b) => a + b, 0) / weight_P.length
    return weight_P.map((weight) => weight / mean)
  } finally {
    gate.dispose?.()
  }
}
