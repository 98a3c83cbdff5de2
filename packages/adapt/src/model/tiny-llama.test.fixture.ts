import { copy_, type nn, noGrad, scope, tensor } from '@adapt-ts/torch'
import { type Batch, type BuildBatchOptions, buildBatch } from '../batch/index.js'
import { CausalLM } from './decoder/causal-lm.js'
import { initialiseModel } from './decoder/initialise.js'
import type { ModelConfig } from './dimensions/model-config.js'

/** Two layers with grouped heads, large initial weights so that samples differ. */
export const TINY_CONFIG: ModelConfig = {
  vocabSize: 53,
  hiddenSize: 16,
  intermediateSize: 24,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  headDim: 4,
  maxPositionEmbeddings: 32,
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
  initializerRange: 0.3,
}

export function createTinyLlama(overrides: Partial<ModelConfig> = {}, seed = 11): CausalLM {
  const model = new CausalLM({ ...TINY_CONFIG, ...overrides })
  initialiseModel(model, seed)
  return model
}

export interface TestSample {
  readonly tokens: readonly number[]
  /** First token that is a label. Default 1: every token but the first. */
  readonly labelsFrom?: number
  readonly weight?: number
  readonly source?: string
  readonly id?: string
  /** Dense index. Default: the place in the batch. */
  readonly index?: number
}

export const PAD_ID = 2

/** Lays samples out; a row is a list of samples. Padded on the right to the longest row by default. */
export function batchOf(
  rows: readonly (readonly TestSample[])[],
  options: Partial<BuildBatchOptions> = {},
): Batch {
  const samples = rows.flat()
  const dataset = {
    sample(index: number) {
      const {
        tokens,
        labelsFrom = 1,
        weight = 1,
        source = 's',
        id = `sample-${index}`,
        index: shown = index,
      } = samples[index]!
      const labelMask = Uint8Array.from(tokens, (_, t) => (t > 0 && t >= labelsFrom ? 1 : 0))
      return {
        index: shown,
        id,
        source,
        weight,
        path: 'memory',
        line: index + 1,
        tokens: Int32Array.from(tokens),
        labelMask,
      }
    },
  }
  let next = 0
  const indices = rows.map((row) => row.map(() => next++))
  return buildBatch(indices, dataset, { padId: PAD_ID, packing: false, ...options })
}

/** Repeatable token ids in 3 .. vocabSize-1, the same on every platform. */
export function createTokens(seed: number, vocabSize = TINY_CONFIG.vocabSize): (length: number) => number[] {
  let state = (seed * 2654435761) >>> 0
  return (length) =>
    Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return 3 + ((state >>> 8) % (vocabSize - 3))
    })
}

/** |a - b| / |b| in Euclidean norms; 0 for two zero vectors. */
export function relativeDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`)
  let difference = 0
  let size = 0
  for (let i = 0; i < a.length; i++) {
    difference += (a[i]! - b[i]!) ** 2
    size += b[i]! ** 2
  }
  return difference === 0 ? 0 : Math.sqrt(difference / size)
}

/** Copies of all parameters by name. */
export function parameterValues(model: CausalLM): Map<string, Float32Array> {
  return new Map(
    Array.from(model.namedParameters(), ([name, parameter]) => [name, parameter.toFloat32Array()]),
  )
}

/** Copies of all gradients by name; zeros where there is none. */
export function gradientValues(model: CausalLM): Map<string, Float32Array> {
  return scope(
    () =>
      new Map(
        Array.from(model.namedParameters(), ([name, parameter]) => [
          name,
          parameter.grad?.toFloat32Array() ?? new Float32Array(parameter.numel),
        ]),
      ),
  )
}

/** The largest relative distance over the tensors of two sets. */
export function worstDistance(
  actual: ReadonlyMap<string, ArrayLike<number>>,
  expected: ReadonlyMap<string, ArrayLike<number>>,
): number {
  if (actual.size !== expected.size) throw new Error(`${actual.size} tensors against ${expected.size}`)
  return Math.max(...Array.from(expected, ([name, values]) => relativeDistance(actual.get(name)!, values)))
}

/** The relative distance of two sets taken as one long vector each. */
export function wholeDistance(
  actual: ReadonlyMap<string, ArrayLike<number>>,
  expected: ReadonlyMap<string, ArrayLike<number>>,
): number {
  const names = [...expected.keys()]
  const join = (set: ReadonlyMap<string, ArrayLike<number>>) =>
    names.flatMap((name) => Array.from(set.get(name)!))
  return relativeDistance(join(actual), join(expected))
}

/** Overwrites one row of a matrix. */
export function fillRow(parameter: nn.Parameter, row: number, values: ArrayLike<number>): void {
  const shape = parameter.shape
  const width = shape[1]!
  const all = parameter.toFloat32Array()
  for (let i = 0; i < width; i++) all[row * width + i] = values[i]!
  setValues(parameter, all)
}

/** Overwrites a parameter. */
export function setValues(parameter: nn.Parameter, values: Float32Array): void {
  noGrad(() => scope(() => void copy_(parameter, tensor(values, parameter.shape))))
}
