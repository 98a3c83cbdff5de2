import {
  type Batch,
  CausalLM,
  createMethod,
  initialiseModel,
  type MethodConfig,
  type ModelConfig,
  Trainer,
} from '@adapt-ts/adapt'
import { type DType, scope, type Tensor, writeSafetensors } from '@adapt-ts/torch'

/** Sizes of a benchmark: the model, and rows x length tokens a step. */
export interface BenchShape {
  readonly config: ModelConfig
  readonly rows: number
  readonly length: number
}

export const UNIFORM: MethodConfig = {
  preset: 'uniform',
  signal: { kind: 'constant' },
  gate: { kind: 'identity' },
  apply: 'loss',
  normalizer: 'token.mean',
}

/** Deterministic token ids with the skew of text: small ids are frequent. */
export function randomTokens(count: number, vocabSize: number, seed: number): Int32Array {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  return Int32Array.from({ length: count }, () => Math.floor(vocabSize * uniform() ** 3))
}

/** rows x (length + 1) ids as a batch: every position predicts the next id. */
export function toBatch(ids: Int32Array, { rows, length }: BenchShape, firstIndex = 0): Batch {
  const pick = (shift: number) =>
    Int32Array.from(
      { length: rows * length },
      (_, i) => ids[Math.floor(i / length) * (length + 1) + (i % length) + shift]!,
    )
  return {
    rows,
    length,
    tokens_BT: pick(0),
    labels_BT: pick(1),
    segment_BT: Int32Array.from({ length: rows * length }, (_, i) => Math.floor(i / length)),
    position_BT: Int32Array.from({ length: rows * length }, (_, i) => i % length),
    samples: Array.from({ length: rows }, (_, b) => ({
      index: firstIndex + b,
      id: `row-${firstIndex + b}`,
      source: 'bench',
      weight: 1,
      numTokens: length,
      numLabels: length,
    })),
  }
}

export interface RunnerOptions {
  readonly dtype: DType
  readonly method?: MethodConfig
  readonly anchors?: readonly Batch[]
  readonly gradientCheckpointing?: boolean
  readonly seed?: number
}

/** A model in training as the product trains it, with the hyper-parameters of the peer. */
export function createRunner(shape: BenchShape, options: RunnerOptions): Trainer {
  const model = new CausalLM(shape.config)
  initialiseModel(model, options.seed ?? 0)
  const method = createMethod(options.method ?? UNIFORM, {
    totalSteps: 1_000_000,
    stepsPerEpoch: 1_000_000,
    isPlainText: true,
  })
  return new Trainer(model, method, options.anchors ?? [], {
    totalSteps: 1_000_000,
    learningRate: 3e-4,
    schedule: 'constant',
    adamBeta1: 0.9,
    adamBeta2: 0.95,
    maxGradNorm: 1,
    autocastDtype: options.dtype,
    gradientCheckpointing: options.gradientCheckpointing ?? false,
  })
}

/** The initial parameters as the peer reads them. */
export function writeWeights(model: CausalLM, path: string): void {
  scope(() => writeSafetensors(path, new Map<string, Tensor>(model.namedParameters())))
}
