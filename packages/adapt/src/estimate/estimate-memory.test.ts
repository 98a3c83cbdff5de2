import { describe, expect, it } from 'vitest'
import { LLAMA_PRESETS } from '../model/dimensions/model-config.js'
import { estimateMemory, type MemorySetting } from './estimate-memory.js'

const lora = { r: 4, targetModules: ['q_proj'], dropout: 0 }
const activations = (change: Partial<MemorySetting>) =>
  estimateMemory(LLAMA_PRESETS['llama-1m'], {
    ...{ rows: 1, length: 4, baseBytes: 4, computeBytes: 4, checkpointing: false, lossChunkSize: 512, lora },
    ...change,
  }).activations

describe('the memory of a frozen base', () => {
  it('holds float32 copies of bfloat16 matrices where products are made in float32', () => {
    const { hiddenSize: d, intermediateSize: f, numHiddenLayers } = LLAMA_PRESETS['llama-1m']
    const matrices = numHiddenLayers * (2 * d * d + 2 * d * (d / 2) + 3 * d * f)
    expect(activations({ baseBytes: 2 }) - activations({})).toBe(4 * matrices)
  })
})
