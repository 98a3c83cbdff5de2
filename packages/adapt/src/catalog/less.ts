/** LESS, arXiv 2402.04333. P samples of the pool, V anchors, C checkpoints, K tasks, D width of the projection. Page: docs/methods/less.md. */
import {
  cat,
  clone,
  copy_,
  matmul,
  narrow,
  nn,
  noGrad,
  reshape,
  scope,
  type Tensor,
  transpose,
  zeros,
} from '@adapt-ts/torch'
import { z } from 'zod'
import { type Batch, buildBatch, selectSamples } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { topFraction } from '../gate/index.js'
import { defineMethod, defineSignal, type RunShape } from '../method/define-method.js'
import { trainingFlops } from '../method/flops.js'
import { realNumber } from '../method/number-ranges.js'
import { oneOf, option, real, usedWith, whole } from '../method/option-table.js'
import type { AdamMoments, PreparationTools } from '../method/preparation.js'
import { affordableShare, isDrawn, shapeOf } from '../method/scored-share.js'
import type { CausalLM } from '../model/index.js'
import { type AnchorTasks, anchorTasks, taskCentroids } from '../signal/anchor-tasks.js'
import { influenceScores } from '../signal/influence.js'
import { SignProjection } from '../signal/sign-projection.js'

/** Most numbers of the gradients that are projected together: 256 MiB. */
const GROUP_SIZE = 2 ** 26
const MAX_GROUP = 64

/** Tell the draws of the warm-up and of what is scored apart. */
const WARMUP_STREAM = 33
const SCORED_STREAM = 34

/** What the source does, and what fits the budget. */
const CONSTANTS = {
  paper: { warmupEpochs: 4, checkpoints: 4 },
  scaled: { warmupEpochs: 1, checkpoints: 1 },
} as const

interface Options {
  readonly constants: 'scaled' | 'paper'
  readonly projection: number
  readonly warmupShare: number
  readonly warmupEpochs: number
  readonly checkpoints: number
  readonly scored: number | 'auto'
  readonly gradient: 'adam' | 'sgd'
  readonly epsMode: AdamMoments['epsMode']
}

/** FLOPs of warm-up, gradients and projections where the gradients of a share of the pool are taken. */
function preparationFlops(
  { warmupShare, warmupEpochs, checkpoints, projection }: Options,
  shape: RunShape,
  share: number,
): number {
  const { params, trainable, tokensPerPass, samples, anchors, tokensPerAnchor } = shape
  const warmup = warmupShare * warmupEpochs * tokensPerPass
  const gradients = checkpoints * (share * tokensPerPass + anchors * tokensPerAnchor)
  const vectors = checkpoints * (share * samples + anchors)
  const projected = trainable > projection ? 2 * trainable * projection * vectors : 0
  return trainingFlops(params, warmup, shape) + trainingFlops(params, gradients) + projected
}

/** Share of the pool whose gradients are taken: all of it under the source's constants, else what the budget leaves. */
export function scoredShare(options: Options, shape: RunShape): number {
  const { scored, constants } = options
  if (scored !== 'auto') return scored
  if (constants === 'paper') return 1
  return affordableShare((share) => preparationFlops(options, shape, share), shape)
}

/** Signal of LESS. */
export const gradientInfluence = defineSignal({
  kind: 'less',
  about: 'influence on the anchors: cosine of projected gradients along a short warm-up run (LESS)',
  unit: 'sample',
  options: {
    constants: oneOf(
      ['scaled', 'paper'],
      'scaled',
      'Whether preparation fits a quarter of the FLOPs of the run, or is that of the source.',
    ),
    projection: whole({ min: 1, max: 1_000_000 }, 8192, 'Width of the random projection of a gradient.'),
    warmupShare: real({ above: 0, max: 1 }, 0.05, 'Share of the samples that the warm-up trains on.'),
    warmupEpochs: real(
      { above: 0, max: 1000 },
      ({ constants }) => CONSTANTS[constants as 'scaled'].warmupEpochs,
      'How often the warm-up reads them.',
    ),
    checkpoints: whole(
      { min: 1, max: 100 },
      ({ constants }) => CONSTANTS[constants as 'scaled'].checkpoints,
      'Checkpoints of the warm-up at which gradients are taken.',
    ),
    scored: option<number | 'auto'>(
      z.union([realNumber({ above: 0, max: 1 }), z.literal('auto')], {
        error: 'expected a number in (0, 1] or "auto"',
      }),
      'auto',
      'Share of the pool that is scored, drawn at random; auto: what the budget leaves, or all with constants: paper.',
    ),
    gradient: oneOf(
      ['adam', 'sgd'],
      'adam',
      "Of training samples: Adam's direction, or the gradient itself.",
    ),
    epsMode: usedWith(
      'gradient: adam',
      ({ gradient }) => gradient === 'adam',
      oneOf(
        ['inside', 'outside'],
        'inside',
        "Where 1e-8 stands in Adam's direction: in the root as in the source's code, or beside it.",
      ),
    ),
  },
  needs: () => ({ anchors: true }),
  trainsProxies: true,
  async prepare(options, tools) {
    const { warmupShare, warmupEpochs, checkpoints: count, projection: width } = options
    const tasks = labelledTasks(tools.anchors)
    let share = 1
    const drawn = { numSamples: tools.data.numSamples, seed: tools.seed }
    const { checkpoints } = await tools.train({
      name: 'warmup',
      method: 'uniform',
      isEarlyRun: true,
      steps: Math.min(1, (warmupEpochs * warmupShare) / tools.passes),
      keep: isDrawn(drawn, warmupShare, WARMUP_STREAM),
      checkpointsAt: Array.from({ length: count }, (_, c) => (c + 1) / count),
    })
    using projection = new SignProjection(width, tools.seed)
    const alignment: Float32Array[] = []
    for (const [c, { folder }] of checkpoints.entries()) {
      const moments = options.gradient === 'adam' ? { folder, epsMode: options.epsMode } : undefined
      alignment.push(
        await tools.withModel(folder, (model) => {
          share = scoredShare(options, shapeOf(tools, { ...sizeOf(model), recompute: tools.recompute }))
          const isScored = isDrawn(drawn, share, SCORED_STREAM)
          return alignWithTasks(model, {
            ...{ tools, projection, tasks, moments, isScored },
            name: `alignment-${c + 1}`,
          })
        }),
      )
    }
    const rates = checkpoints.map(({ learningRate }) => learningRate)
    return {
      score_P: influenceScores(alignment, rates, tasks.names.length),
      figures: { checkpoints: checkpoints.length, scored: share, tasks: tasks.names.length },
    }
  },
  cost: (options, shape) => ({
    preparation: preparationFlops(options, shape, scoredShare(options, shape)),
    signal: 0,
  }),
})

/** Low-rank gradient similarity search. */
export const less = defineMethod({
  id: 'less',
  about:
    'trains on the samples whose gradients, early in training, point where those of the anchors do (LESS)',
  page: 'docs/methods/less.md',
  signal: gradientInfluence,
  gate: topFraction,
  apply: 'mask',
  preset: { gate: { keep: 0.025 } },
})

/** As a run counts itself. */
function sizeOf({ numParameters: params, numTrainableParameters: trainable }: CausalLM) {
  return { params, trainable, frozenBase: trainable < params / 2 }
}

/** Anchors with labels, as one sample a batch, and their tasks. @throws {ConfigError} NO_ANCHORS without any. */
function labelledTasks(anchors: readonly Batch[]): AnchorTasks & { readonly batches: readonly Batch[] } {
  const samples = anchors.flatMap((batch) => batch.samples)
  const places = [...samples.keys()].filter((place) => samples[place]!.numLabels > 0)
  if (places.length === 0) {
    throw new ConfigError(
      'NO_ANCHORS',
      'anchors: expected at least one with a label, whose gradient is compared with, received none',
    )
  }
  const batches = places.map((place) => selectSamples(anchors, [place]))
  return { ...anchorTasks(batches), batches }
}

/** What the samples of the pool are aligned with at one checkpoint. */
interface Alignment {
  readonly tools: PreparationTools
  readonly projection: SignProjection
  readonly tasks: ReturnType<typeof labelledTasks>
  readonly moments: AdamMoments | undefined
  readonly isScored: (index: number) => boolean
  readonly name: string
}

/** mean over v in j of <u(z), u(v)> for every sample z and task j: [P * K]; NaN for a sample that has no gradient or is not scored. */
async function alignWithTasks(
  model: CausalLM,
  { tools, projection, tasks, moments, isScored, name }: Alignment,
): Promise<Float32Array> {
  const K = tasks.names.length
  const P = model.numTrainableParameters
  const groupSize = Math.max(1, Math.min(MAX_GROUP, Math.floor(GROUP_SIZE / P)))
  const gradient_SP = noGrad(() => zeros([groupSize, P], { device: model.device }).persist())
  const project = (batches: readonly Batch[], of?: AdamMoments): Tensor =>
    noGrad(() =>
      scope(() => {
        for (const [s, batch] of batches.entries()) {
          scope(() =>
            copy_(reshape(narrow(gradient_SP, 0, s, 1), [P]), tools.sampleGradient(model, batch, of)),
          )
          const { numTokens } = batch.samples[0]!
          tools.charge(trainingFlops(model.numParameters, numTokens))
        }
        const rows = narrow(gradient_SP, 0, 0, batches.length)
        if (P > projection.width) tools.charge(2 * P * projection.width * batches.length)
        return clone(nn.unitRows(projection.apply(rows)))
      }),
    )
  const centroid_KD = noGrad(() =>
    scope(() => {
      const unit_VD = cat(inGroups(tasks.batches, groupSize).map((group) => project(group)))
      return clone(taskCentroids(unit_VD, tasks)).persist()
    }),
  )
  try {
    return await tools.byChunk(name, K, async (indexes) => {
      const values = new Float32Array(indexes.length * K).fill(Number.NaN)
      const wanted = [...indexes.keys()].filter((i) => isScored(indexes[i]!))
      for (const group of inGroups(wanted, groupSize)) {
        const found = group.flatMap((i) => {
          const batch = buildBatch([[indexes[i]!]], tools.data, { padId: 0, packing: false })
          return batch.samples[0]!.numLabels > 0 ? [{ i, batch }] : []
        })
        if (found.length === 0) continue
        const alignment = scope(() => {
          const unit_SD = project(
            found.map(({ batch }) => batch),
            moments,
          )
          return matmul(unit_SD, transpose(centroid_KD, 0, 1)).toFloat32Array()
        })
        for (const [s, { i }] of found.entries()) values.set(alignment.subarray(s * K, (s + 1) * K), i * K)
        // Signals and timers get their turn.
        await new Promise(setImmediate)
      }
      return values
    })
  } finally {
    centroid_KD.dispose()
    gradient_SP.dispose()
  }
}

function inGroups<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, g) =>
    items.slice(g * size, (g + 1) * size),
  )
}
