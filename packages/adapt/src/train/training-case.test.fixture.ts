import { type Collective, type DType, distributed, scope } from '@adapt-ts/torch'
import { type Batch, splitGlobalBatch } from '../batch/index.js'
import { createMethod, type MethodInput, resolveMethod } from '../catalog/index.js'
import type { Normalizer } from '../loss/index.js'
import type { Gate, Method, Signal } from '../method/index.js'
import type { CausalLM } from '../model/index.js'
import {
  batchOf,
  createTinyLlama,
  createTokens,
  gradientValues,
  parameterValues,
  type TestSample,
} from '../model/tiny-llama.test.fixture.js'
import type { StepRecord } from '../record/index.js'
import { HAND_MADE } from './hand-made-methods.test.fixture.js'
import { type StepEvents, Trainer, type TrainerOptions } from './trainer.js'

export type Rows = readonly (readonly TestSample[])[]

const draw = createTokens(77)
/** Nine anchors of two tasks in three batches of different widths. */
export const ANCHORS: readonly Batch[] = [4, 6, 3].map((length) =>
  batchOf([1, 2, 0].map((more) => [{ tokens: draw(length + more), source: more === 2 ? 'two' : 'one' }])),
)

// Beyond 2^24, where float32 no longer tells neighbours apart.
const FIRST_INDEX = 20_000_000

/** The samples of {@link rowsOfStep} as a dataset; ten rows of up to two samples make a step. */
const DATASET = {
  numSamples: FIRST_INDEX + 1000,
  sources: ['even', 'odd'],
  sourceIndex: (index: number) => Math.floor((index - FIRST_INDEX) / 2) % 2,
  length: (index: number) => 4 + (index % 7),
}

/** A method by name or as a config writes it, for a run of `totalSteps`. */
export function methodOf(input: MethodInput, totalSteps = 40): Method {
  const config = resolveMethod(input, (path, message) => {
    throw new Error(`${path.join('.')}: ${message}`)
  })
  return createMethod(config, { totalSteps, stepsPerEpoch: 4, isPlainText: true, seed: 9, dataset: DATASET })
}

/** A method of hand-made parts; a part that is missing is that of the preset `uniform`. */
export function methodWith(
  parts: { readonly signal?: Signal; readonly gate?: Gate },
  normalizer: Normalizer = 'token.wmean',
): Method {
  const own = { kind: 'custom', name: 'own' } as const
  const { signal, gate } = parts
  return createMethod(
    { preset: 'uniform', normalizer, ...(signal ? { signal: own } : {}), ...(gate ? { gate: own } : {}) },
    {
      totalSteps: 40,
      dataset: DATASET,
      ...(signal ? { signals: { own: signal } } : {}),
      ...(gate ? { gates: { own: gate } } : {}),
    },
  )
}

export const TRAINER_OPTIONS: TrainerOptions = {
  totalSteps: 40,
  learningRate: 0.01,
  weightDecay: 0.1,
  adamBeta2: 0.95,
}

export interface TrainingCase extends Disposable {
  readonly model: CausalLM
  readonly method: Method
  readonly trainer: Trainer
  step(batches: readonly Batch[]): { record: StepRecord; events: StepEvents }
}

/** A trainer over a tiny model. Use with `using`. */
export function createCase(
  method: Method,
  options: Partial<TrainerOptions> & { readonly model?: CausalLM; readonly anchors?: readonly Batch[] } = {},
): TrainingCase {
  const { model = createTinyLlama(), anchors = ANCHORS, ...trainerOptions } = options
  const trainer = new Trainer(model, method, anchors, { ...TRAINER_OPTIONS, ...trainerOptions })
  return {
    model,
    method,
    trainer,
    step: (batches) => trainer.runStep(batches, 0),
    [Symbol.dispose]() {
      trainer.dispose()
      model.dispose()
    },
  }
}

/** Rows of one step: four rows, the first of two samples, lengths and prompts of all sorts. */
export function rowsOfStep(step: number, count = 4): Rows {
  const tokens = createTokens(1000 + step)
  return Array.from({ length: count }, (_, row) => {
    const sample = (length: number, part: number): TestSample => ({
      tokens: tokens(length),
      labelsFrom: 1 + ((row + part) % 3),
      id: `${step}-${row}-${part}`,
      index: FIRST_INDEX + step * 20 + row * 2 + part,
      source: row % 2 === 0 ? 'even' : 'odd',
    })
    return row === 0 ? [sample(5, 0), sample(4, 1)] : [sample(4 + ((row * 5 + step) % 7), 0)]
  })
}

/** How the rows of a step are laid out. */
export interface Layout {
  readonly worldSize: number
  readonly accumulation: number
  readonly perDevice: number
}

export interface LayoutRun {
  readonly method: MethodInput | keyof typeof HAND_MADE
  readonly normalizer?: Normalizer
  readonly layout: Layout
  readonly numSteps: number
  /** Rows of a step; fewer than the layout holds leave micro-batches short or empty. */
  readonly numRows?: number
  readonly autocastDtype?: DType
}

export interface LayoutResult {
  readonly losses: number[]
  readonly gradNorms: number[]
  /** By sample id. */
  readonly weights: Map<string, number>
  readonly scores: Map<string, number>
  /** After the first step. */
  readonly gradients: Map<string, Float32Array>
  /** After the last. */
  readonly parameters: Map<string, Float32Array>
  /** After the first step. */
  readonly centroid: Float32Array | undefined
}

/** What one rank sees of a run in this layout. */
export function runLayout(run: LayoutRun, collective: Collective = distributed.singleProcess): LayoutResult {
  const { layout, numSteps, numRows = 4, normalizer } = run
  const method =
    typeof run.method === 'string'
      ? HAND_MADE[run.method](normalizer ?? 'token.wmean')
      : methodOf({ ...run.method, ...(normalizer ? { normalizer } : {}) })
  const split = (rows: Rows) =>
    splitGlobalBatch(rows, { ...layout, rank: collective.rank }).map((part) => batchOf(part))
  let rows: Rows = []
  using training = createCase(method, {
    // Smaller initial weights than elsewhere: float32 rounding of the gradient stays well below 1e-6.
    model: createTinyLlama({ initializerRange: 0.1 }),
    collective,
    // AdamW makes of a gradient that is rounded near 0 an update of full size, which every later step sees: not where
    // epsilon is above what rounding leaves.
    adamEpsilon: 1e-3,
    // Some samples of the step, one a row.
    layOut: (indexes) =>
      split(indexes.map((index) => [rows.flat().find((sample) => sample.index === index)!])),
    ...(run.autocastDtype ? { autocastDtype: run.autocastDtype } : {}),
  })
  const result = {
    losses: [] as number[],
    gradNorms: [] as number[],
    weights: new Map<string, number>(),
    scores: new Map<string, number>(),
    gradients: new Map<string, Float32Array>(),
    centroid: undefined as Float32Array | undefined,
  }
  for (let step = 0; step < numSteps; step++) {
    rows = rowsOfStep(step, numRows)
    const { record, events } = training.step(split(rows))
    result.losses.push(record.lossWeighted)
    result.gradNorms.push(record.gradNorm)
    for (const { id, weight, score } of events.totals.samples) {
      result.weights.set(id, weight)
      result.scores.set(id, score)
    }
    if (step > 0) continue
    result.gradients = gradientValues(training.model)
    const centroid = method.state().tensors.get('centroid')
    result.centroid = scope(() => centroid?.toFloat32Array())
  }
  return { ...result, parameters: parameterValues(training.model) }
}
