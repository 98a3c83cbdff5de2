/** V anchors, T the depth of a path, P trained parameters. Page: docs/methods/tacs.md. */
import { add, clone, mul, noGrad, scope, type Tensor } from '@adapt-ts/torch'
import { type Batch, buildBatch, createPermutation, selectSamples } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { trainingFlops } from '../method/flops.js'
import type { PreparationTools, RunShape } from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import { cosineOf } from '../signal/index.js'

/** What is searched: every learning rate with every depth, in units. */
const RATES = [1e-5, 2e-5, 5e-5] as const
const DEPTHS = [2, 4, 8, 12, 16, 32, 64] as const
/** The longest path of the search, in units. */
export const DEEPEST = 64
const FOLDS = 3
/** Most examples of a gradient. */
const EXAMPLES = 100
/** Tell the draws of folds, of examples and of the pool apart. */
const FOLD_STREAM = 45
const EXAMPLE_STREAM = 46
const GENERIC_STREAM = 47

/** A path to be trained on some anchors, by their places; checkpoints by units. */
export interface FoldPath {
  readonly name: string
  readonly learningRate: number
  readonly anchors: readonly number[]
  readonly depths: readonly number[]
}

/** What was found best. */
export interface CalibratedPath {
  readonly learningRate: number
  readonly depth: number
  /** Mean over the folds. */
  readonly specificity: number
}

/**
 * How much more a gradient has in common with that of held-out anchors than with that of text at large: cos(a, b) - cos(a, c).
 * @param fold_P  Of the anchors that the path was trained on; all of them float32 [P].
 */
export function specificity(fold_P: Tensor, heldOut_P: Tensor, generic_P: Tensor): number {
  return cosineOf(fold_P, heldOut_P) - cosineOf(fold_P, generic_P)
}

/**
 * Learning rate and depth of the path by a search over three folds of the anchors: each fold is held out once of a path on the others, and the pair
 * with the largest mean {@link specificity} at its end is taken; of equal ones the shallower, then the slower.
 *
 * @param train  Trains a path, or finds it: a folder for each of its depths.
 * @throws {ConfigError} NO_ANCHORS for fewer than three anchors with a label.
 */
export async function calibratePath(
  tools: PreparationTools,
  train: (path: FoldPath) => Promise<readonly string[]>,
): Promise<CalibratedPath> {
  const samples = tools.anchors.flatMap((batch) => batch.samples)
  const labelled = [...samples.keys()].filter((place) => samples[place]!.numLabels > 0)
  if (labelled.length < FOLDS) {
    throw new ConfigError(
      'NO_ANCHORS',
      `anchors: expected at least ${FOLDS} with a label for calibrate: folds, received ${labelled.length}`,
    )
  }
  const shuffled = drawn(labelled, tools.seed, FOLD_STREAM)
  const generic = drawGeneric(tools)
  const sums = RATES.map(() => DEPTHS.map(() => 0))
  for (const [r, learningRate] of RATES.entries()) {
    for (let f = 0; f < FOLDS; f++) {
      const [heldOut, own] = [true, false].map((isOut) =>
        shuffled.filter((_, i) => (i % FOLDS === f) === isOut),
      ) as [number[], number[]]
      const name = `path-${r + 1}-fold-${f + 1}`
      const folders = await train({ name, learningRate, anchors: own, depths: DEPTHS })
      const alone = (places: readonly number[]) =>
        drawn(places, tools.seed, EXAMPLE_STREAM)
          .slice(0, EXAMPLES)
          .map((place) => selectSamples(tools.anchors, [place]))
      for (const [t, folder] of folders.entries()) {
        const measure = async (model: CausalLM): Promise<number> => {
          const gradients: Tensor[] = []
          try {
            for (const batches of [alone(own), alone(heldOut), generic])
              gradients.push(await meanGradient(model, batches, tools))
            return specificity(gradients[0]!, gradients[1]!, gradients[2]!)
          } finally {
            for (const gradient_P of gradients) gradient_P.dispose()
          }
        }
        sums[r]![t]! += await tools.onFirst(() => tools.withModel(folder, measure))
      }
    }
  }
  let best: CalibratedPath | undefined
  for (const [t, depth] of DEPTHS.entries())
    for (const [r, learningRate] of RATES.entries()) {
      const found = sums[r]![t]! / FOLDS
      if (best === undefined || found > best.specificity) best = { learningRate, depth, specificity: found }
    }
  return best!
}

/** FLOPs of the search. */
export function calibrationFlops(
  epochsPerUnit: number,
  { params, recompute = false, tokensPerPass, samples, anchors, tokensPerAnchor }: RunShape,
): number {
  const own = ((FOLDS - 1) * anchors) / FOLDS
  const passed = RATES.length * FOLDS * own * tokensPerAnchor * epochsPerUnit * DEEPEST
  const examples = Math.min(EXAMPLES, own) + Math.min(EXAMPLES, anchors / FOLDS)
  const generic = (Math.min(EXAMPLES, samples) * tokensPerPass) / Math.max(1, samples)
  const looked = RATES.length * FOLDS * DEPTHS.length * (examples * tokensPerAnchor + generic)
  return (
    trainingFlops(params, passed, { frozenBase: true, recompute }) +
    trainingFlops(params, looked, { frozenBase: true })
  )
}

/** The places in an order by seed. */
function drawn(places: readonly number[], seed: number, stream: number): number[] {
  if (places.length === 0) return []
  const placeOf = createPermutation({ seed, epoch: 0, numSamples: places.length, stream })
  return places.map((_, i) => places[placeOf(i)]!)
}

/** Samples of the pool with labels, each alone. */
function drawGeneric({ data, seed }: PreparationTools): Batch[] {
  const placeOf = createPermutation({ seed, epoch: 0, numSamples: data.numSamples, stream: GENERIC_STREAM })
  const found: Batch[] = []
  for (let i = 0; i < data.numSamples && found.length < EXAMPLES; i++)
    if (data.labelCount(placeOf(i)) > 0)
      found.push(buildBatch([[placeOf(i)]], data, { padId: 0, packing: false }))
  return found
}

/** Mean of the gradients of the samples' mean losses over the adapter: float32 [P], the caller's. */
async function meanGradient(
  model: CausalLM,
  batches: readonly Batch[],
  tools: PreparationTools,
): Promise<Tensor> {
  let sum_P: Tensor | undefined
  for (const batch of batches) {
    const before = sum_P
    sum_P = noGrad(() =>
      scope(() => {
        const gradient_P = mul(tools.sampleGradient(model, batch), 1 / batches.length)
        return before ? add(before, gradient_P) : clone(gradient_P)
      }),
    ).persist()
    before?.dispose()
    const { numTokens } = batch.samples[0]!
    tools.charge(trainingFlops(model.numParameters, numTokens, { frozenBase: true }))
    // Signals and timers get their turn.
    await new Promise(setImmediate)
  }
  return sum_P!
}
