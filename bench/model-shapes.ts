import { LLAMA_PRESETS, type ModelConfig } from '@adapt-ts/adapt'

const COMMON = {
  rmsNormEps: 1e-5,
  ropeTheta: 10_000,
  initializerRange: 0.02,
  maxPositionEmbeddings: 4096,
} as const

/** The product's presets, a larger one for the CPU, and the shapes of Llama 3.2 1B and Llama 2 7B. */
const SHAPES: Readonly<Record<string, ModelConfig>> = {
  ...LLAMA_PRESETS,
  /** 31.6M parameters: 8 layers of width 512, grouped key/value heads. */
  '32m': {
    ...COMMON,
    vocabSize: 8192,
    hiddenSize: 512,
    intermediateSize: 1376,
    numHiddenLayers: 8,
    numAttentionHeads: 8,
    numKeyValueHeads: 4,
    headDim: 64,
    tieWordEmbeddings: false,
  },
  '1b': {
    ...COMMON,
    vocabSize: 128_256,
    hiddenSize: 2048,
    intermediateSize: 8192,
    numHiddenLayers: 16,
    numAttentionHeads: 32,
    numKeyValueHeads: 8,
    headDim: 64,
    tieWordEmbeddings: true,
  },
  '7b': {
    ...COMMON,
    vocabSize: 32_000,
    hiddenSize: 4096,
    intermediateSize: 11_008,
    numHiddenLayers: 32,
    numAttentionHeads: 32,
    numKeyValueHeads: 32,
    headDim: 128,
    tieWordEmbeddings: false,
  },
}

/** The shape of a name; one that is not known is one line and exit code 2. */
export function modelShape(name: string): ModelConfig {
  const shape = SHAPES[name]
  if (shape !== undefined) return shape
  console.error(`error: unknown model "${name}" (${Object.keys(SHAPES).join(', ')})`)
  process.exit(2)
}
