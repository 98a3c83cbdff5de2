/** TACS, arXiv 2605.09404. P samples of the pool, V anchors, T the depth of the path. Page: docs/methods/tacs.md. */
import { noGrad, scope } from '@adapt-ts/torch'
import { createPermutation } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { topFraction } from '../gate/index.js'
import { trainingFlops } from '../method/flops.js'
import {
  defineMethod,
  defineSignal,
  oneOf,
  type PreparationTools,
  real,
  SCORED,
  usedWith,
  whole,
} from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import {
  dividedDifference,
  divideOptions,
  frozenLosses,
  frozenStates,
  sampleBatches,
  spearman,
} from '../signal/index.js'
import { calibratePath, calibrationFlops, DEEPEST, type FoldPath } from './path-calibration.js'

/** The source's adapter. */
const ADAPTER = {
  r: 1,
  alpha: 4,
  dropout: 0.1,
  targetModules: ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
} as const
/** Samples that are scored a second time, each alone, to see how much of a score is rounding. */
const REPEATED = 256
const REPEAT_STREAM = 37

const isGiven = ({ calibrate }: Readonly<Record<string, unknown>>): boolean => calibrate === 'off'

/** s = (l_1 - l_T) / l_1: how far the loss of a sample falls while an adapter learns the anchors. */
export const pathGain = defineSignal({
  kind: 'path-gain',
  about: 'how far the loss of a sample falls while a small adapter is trained on the anchors alone',
  unit: 'sample',
  options: {
    calibrate: oneOf(
      ['off', 'folds'],
      'off',
      'folds: learning rate and depth of the path are chosen by how specific gradients at its end are to anchors that it has not seen.',
    ),
    depth: usedWith(
      'calibrate: off',
      isGiven,
      whole({ min: 1, max: 10_000 }, 2, 'T: units of training on the anchors.'),
    ),
    epochsPerUnit: whole({ min: 1, max: 10_000 }, 5, 'Passes over the anchors in one unit.'),
    pathLearningRate: usedWith(
      'calibrate: off',
      isGiven,
      real({ above: 0, max: 1 }, 1e-5, 'Learning rate on the anchors, constant; one anchor a step.'),
    ),
    first: oneOf(
      ['unit', 'base'],
      'unit',
      'Where the fall begins: after the first unit, as in the source, or at the model before it.',
    ),
    ...divideOptions('loss'),
    ...SCORED,
  },
  scoresPart: 'rest is left out',
  needs: () => ({ anchors: true }),
  trainsProxies: true,
  check: ({ depth, first }) =>
    first === 'unit' && depth < 2
      ? [
          {
            key: 'depth',
            message: `expected at least 2 with first: unit, which is the first of them, received ${depth}`,
          },
        ]
      : [],
  async prepare({ epochsPerUnit, first, divide, floor, ...options }, tools) {
    const count = tools.anchors.reduce((sum, { samples }) => sum + samples.length, 0)
    if (count === 0)
      throw new ConfigError('NO_ANCHORS', 'anchors: the method needs at least one anchor, none was given')
    const trainPath = ({ name, learningRate, anchors, depths }: Path) => {
      const deepest = depths.at(-1)!
      const kept = new Set(anchors)
      return tools.train({
        ...{ name, method: 'uniform', data: 'anchors', adapter: ADAPTER },
        optimiser: { learningRate, batchSize: 1 },
        steps: ((anchors?.length ?? count) * epochsPerUnit * deepest) / tools.totalSteps,
        checkpointsAt: depths.map((depth) => depth / deepest),
        ...(anchors ? { keep: (place) => kept.has(place) } : {}),
      })
    }
    const calibrated =
      options.calibrate === 'folds'
        ? await calibratePath(tools, async (path) =>
            (await trainPath(path)).checkpoints.map(({ folder }) => folder),
          )
        : undefined
    const { depth, learningRate } = calibrated ?? {
      depth: options.depth,
      learningRate: options.pathLearningRate,
    }
    const { checkpoints } = await trainPath({
      name: 'path',
      learningRate,
      depths: first === 'unit' ? [1, depth] : [depth],
    })
    const ends = [first === 'unit' ? checkpoints[0]!.folder : undefined, checkpoints.at(-1)!.folder]
    const repeated = drawRepeated(tools)
    const losses: Float32Array[] = []
    const again: Float32Array[] = []
    for (const [i, folder] of ends.entries()) {
      await tools.withModel(folder, async (model) => {
        losses.push(await tools.byChunk(`loss-${i + 1}`, 1, (indexes) => meanLosses(model, indexes, tools)))
        again.push(await meanLosses(model, repeated, tools, 0))
      })
    }
    const { data } = tools
    const scoreOf = (l_1: number, l_T: number) => dividedDifference(l_1 - l_T, l_1, { divide, floor })
    const score_P = Float32Array.from({ length: data.numSamples }, (_, i) =>
      // Never kept: nothing of it is learnt.
      data.labelCount(i) === 0 || !tools.isScored(i) ? -Infinity : scoreOf(losses[0]![i]!, losses[1]![i]!),
    )
    const falls = repeated.map((i) => losses[0]![i]! - losses[1]![i]!)
    const correlation = spearman(
      repeated.map((i) => score_P[i]!),
      repeated.map((_, r) => scoreOf(again[0]![r]!, again[1]![r]!)),
    )
    return {
      score_P,
      figures: {
        meanFall: falls.reduce((sum, fall) => sum + fall, 0) / Math.max(1, falls.length),
        // Of equal scores there is no order to repeat.
        repeatCorrelation: Number.isNaN(correlation) ? 0 : correlation,
        ...(calibrated ? { depth, learningRate, specificity: calibrated.specificity } : {}),
      },
    }
  },
  cost({ calibrate, depth, epochsPerUnit }, shape) {
    const { params, recompute = false, tokensPerPass, samples, anchors, tokensPerAnchor } = shape
    const isCalibrated = calibrate === 'folds'
    // What is chosen is known afterwards.
    const passed = anchors * tokensPerAnchor * epochsPerUnit * (isCalibrated ? DEEPEST : depth)
    const path = trainingFlops(params, passed, { frozenBase: true, recompute })
    const search = isCalibrated ? calibrationFlops(epochsPerUnit, shape) : 0
    const repeated = Math.min(1, REPEATED / Math.max(1, samples))
    return { preparation: search + path + 4 * params * tokensPerPass * (1 + repeated), signal: 0 }
  },
})

/** Target-aligned selection by the fall of losses along a path that is tuned on the anchors. */
export const tacs = defineMethod({
  id: 'tacs',
  about: 'trains on the samples whose loss falls most while a small adapter learns the anchors',
  page: 'docs/methods/tacs.md',
  signal: pathGain,
  gate: topFraction,
  apply: 'mask',
  preset: { gate: { keep: 0.05, shareOf: 'source' } },
})

/** A path on some of the anchors, or on all of them. */
type Path = Omit<FoldPath, 'anchors'> & Partial<Pick<FoldPath, 'anchors'>>

/** Samples with labels that are scored twice, by seed. */
function drawRepeated(tools: PreparationTools): number[] {
  const { data, seed } = tools
  const { numSamples } = data
  const permuted = createPermutation({ seed, epoch: 0, numSamples, stream: REPEAT_STREAM })
  const found: number[] = []
  for (let i = 0; i < numSamples && found.length < REPEATED; i++)
    if (data.labelCount(permuted(i)) > 0 && tools.isScored(permuted(i))) found.push(permuted(i))
  return found
}

/** float32, mean nats per label of some samples under a frozen model; in the same batches whatever the model. */
async function meanLosses(
  model: CausalLM,
  indexes: readonly number[],
  tools: PreparationTools,
  maxTokens?: number,
): Promise<Float32Array> {
  const samples = indexes.map((index) => tools.data.sample(index))
  const result = new Float32Array(samples.length)
  for await (const { places, batch } of sampleBatches(samples, maxTokens)) {
    const loss_S = noGrad(() =>
      scope(() => frozenLosses(model, frozenStates(model, batch, tools), batch).toFloat32Array()),
    )
    for (const [s, place] of places.entries()) result[place] = loss_S[s]!
  }
  return result
}
