import {
  type Batch,
  CausalLM,
  createMethod,
  initialiseModel,
  type MethodConfig,
  type MethodId,
  type ModelConfig,
  Trainer,
} from '@adapt-ts/adapt'
import {
  type Collective,
  type Device,
  type DType,
  fill_,
  Generator,
  nn,
  noGrad,
  normal_,
  scope,
  type Tensor,
  writeSafetensors,
} from '@adapt-ts/torch'

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
  /** Default cpu. */
  readonly device?: Device
  /** Positions whose logits exist at once; default: the product's. */
  readonly lossChunkSize?: number | undefined
  /** Default uniform. */
  readonly method?: MethodConfig | MethodId
  readonly anchors?: readonly Batch[]
  readonly gradientCheckpointing?: boolean
  readonly seed?: number
  /** Default: one process. */
  readonly collective?: Collective
}

/** A model in training as the product trains it, with the hyper-parameters of the peer. */
export function createRunner(shape: BenchShape, options: RunnerOptions): Trainer {
  const model = nn.withParameterDefaults({ device: options.device }, () => new CausalLM(shape.config))
  initialiseModel(model, options.seed ?? 0)
  return trainerOf(model, options)
}

/** A model whose matrices were drawn on the device: fast for billions of parameters, other weights on another device. */
export function createRandomModel(
  config: ModelConfig,
  options: { readonly dtype: DType; readonly device: Device; readonly requiresGrad: boolean },
): CausalLM {
  const model = nn.withParameterDefaults({ ...options, fill: false }, () => new CausalLM(config))
  const generator = new Generator(0, options.device)
  noGrad(() => {
    for (const [name, parameter] of model.namedParameters()) {
      if (parameter.shape.length >= 2) normal_(parameter, 0, config.initializerRange, generator)
      else fill_(parameter, name.endsWith('.bias') ? 0 : 1)
    }
  })
  return model
}

/** A model in training with the hyper-parameters of the peer. */
export function trainerOf(model: CausalLM, options: RunnerOptions): Trainer {
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
    ...(options.collective === undefined ? {} : { collective: options.collective }),
    ...(options.lossChunkSize === undefined ? {} : { lossChunkSize: options.lossChunkSize }),
  })
}

/** The initial parameters as the peer reads them. */
export function writeWeights(model: CausalLM, path: string): void {
  scope(() => writeSafetensors(path, new Map<string, Tensor>(model.namedParameters())))
}
