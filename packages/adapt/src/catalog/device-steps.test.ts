// The training step on a device without hardware: that it runs there, gives what the CPU gives, and how often the host
// waits for the device. A new row of the table below is a decision, not a detail: on a GPU each copy is a stall.
import { buildInfo, nn } from '@adapt-ts/torch'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  counted,
  DEVICE,
  loadTestingDevice,
  withForbidden,
} from '../../../torch/testing-device/testing-device.mjs'
import { addLora, type CausalLM, LORA_DEFAULTS } from '../model/index.js'
import { createTinyLlama, worstDistance } from '../model/tiny-llama.test.fixture.js'
import type { TrainerOptions } from '../train/index.js'
import { CASES, type ConformanceCase, ConformanceRun, WHOLE } from './conformance.test.fixture.js'

beforeAll(loadTestingDevice)
const isOld = () => buildInfo().libtorchVersion.startsWith('1.')

interface Setting {
  readonly trainer?: Partial<TrainerOptions>
  readonly prepare?: (model: CausalLM) => void
}

/** Two micro-batches a step. */
function runOn(device: string, of: ConformanceCase, { trainer = {}, prepare }: Setting = {}) {
  const model = nn.withParameterDefaults({ device }, () => {
    const made = createTinyLlama({ initializerRange: 0.1 })
    prepare?.(made)
    return made
  })
  return new ConformanceRun(of, { ...WHOLE, perDevice: 2 }, undefined, { model, isWatched: false, trainer })
}

/**
 * Copies to the host in each of six steps. 1 is the end of the step, where loss, norm, scores and weights come together
 * (`synchronise`); the first step embeds the anchors, and a refresh says what they are worth. What else a step takes is
 * named.
 */
const COPIES: Readonly<Record<string, readonly number[]>> = {
  adapt: [2, 1, 1, 1, 1, 1],
  'adapt {signal:{refresh_every:3},gate:{temperature:0.2}}': [2, 1, 1, 9, 1, 1],
  'adapt {signal:{refresh:adaptive,probe_every:1,refresh_min:2,refresh_max:3,aggregate:max}}': [
    2, 1, 9, 1, 9, 1,
  ],
  'adapt {signal:{refresh:rolling,refresh_every:4,aggregate:zmax,center:true},gate:{temperature:0.1}}': [
    3, 1, 1, 1, 9, 1,
  ],
  'adapt {signal:{score_eval:true}}': [2, 1, 1, 1, 1, 1],
  'adapt {gate:{kind:softmax,temperature:0.2}}': [2, 1, 1, 1, 1, 1],
  'adapt {gate:{temperature:0.2},shuffle:true}': [2, 1, 1, 1, 1, 1],
  'adapt {gate:{temperature:0.2},collapse:source}': [2, 1, 1, 1, 1, 1],
  'adapt {signal:{refresh:rolling,refresh_every:2,aggregate:zmax,score_shrinkage:within_source},gate:{temperature:0.2}}':
    [3, 1, 9, 1, 9, 1],
  'adapt-paper': [2, 1, 1, 1, 1, 1],
  'adapt-calibrated': [3, 1, 1, 1, 1, 1],
  'adapt-calibrated {signal:{refresh_every:2},gate:{ess:0.8,warmup_ratio:0.05,update_every:1,floor:0.2,trust:separation,anneal:true,anneal_from:0.1,anneal_to:0.5}}':
    [3, 1, 9, 1, 9, 1],
  'adapt-calibrated {signal:{refresh_every:3},gate:{ess:0.8,warmup_ratio:0.05,update_every:2}}': [
    3, 1, 1, 9, 1, 1,
  ],
  'adapt-calibrated {signal:{refresh_every:2,score_shrinkage:within_source},gate:{ess:0.8,warmup_ratio:0.05,update_every:2}}':
    [3, 1, 9, 1, 9, 1],
  // The discriminant is solved on the host.
  'adapt-contrastive {signal:{refresh_every:3,projection:8,background:6},gate:{ess:0.8,warmup_ratio:0.05,update_every:2}}':
    [1, 1, 6, 1, 1, 7],
  'adapt-contrastive {signal:{form:odds,prior:0.2,refresh_every:2,background:2},gate:{kind:sigmoid}}': [
    1, 6, 1, 7, 1, 7,
  ],
  'adapt-contrastive {signal:{refresh_every:2,background:6,score_shrinkage:within_source}}': [
    1, 1, 6, 1, 7, 1,
  ],
  dataflex: [2, 1, 1, 1, 1, 1],
  'dataflex {signal:{refresh_every:3},gate:{temperature:0.2,warmup_steps:2,accumulation:2,world:2}}': [
    1, 1, 2, 9, 1, 1,
  ],
  // A round scores the pool anew, a batch a copy.
  'ica {signal:{rounds:5}}': [1, 1, 4, 1, 4, 1],
  // Shares of sources are learnt, and samples are picked one after another, on the host; what a mask drops must be known before training.
  'doremi-proxy': [2, 2, 2, 2, 2, 2],
  'doge-proxy': [2, 2, 2, 2, 2, 2],
  greats: [3, 3, 3, 3, 3, 3],
  opus: [3, 3, 3, 3, 3, 3],
  'update-match': [2, 2, 2, 2, 2, 2],
  'opus {signal:{validation:2,anchor_draw:once,score_length:6,sketch:32},gate:{keep:0.5,temperature:0.1}}': [
    3, 3, 3, 3, 3, 3,
  ],
  'joint-update-aware': [2, 2, 2, 2, 2, 2],
  'joint-update-aware {signal:{target:rotating,target_batch:3,refresh_every:2,pooling:mean,tokens:response_only}}':
    [2, 2, 2, 2, 2, 2],
  'rho-loss': [2, 2, 2, 2, 2, 2],
  // The pool is scored, a batch a copy, before the draws of a run of ten steps: after one step and then every two; and as their options say.
  'loss-selection': [1, 2, 1, 2, 1, 2],
  'loss-selection {gate:{focus:high,temperature:0.5,scored_share:0.3,warmup_steps:0,draw_every:3}}': [
    2, 1, 1, 2, 1, 1,
  ],
  'delta-loss': [1, 2, 1, 2, 1, 2],
  'delta-loss {gate:{scored_share:0.5,warmup_steps:0,draw_every:2}}': [2, 1, 2, 1, 2, 1],
}

/** Of diagnostics of the anchors; the other methods have none. */
const SCALAR_READS: Readonly<Record<string, readonly number[]>> = {
  adapt: [3, 0, 0, 0, 0, 0],
  'adapt {signal:{refresh_every:3},gate:{temperature:0.2}}': [3, 0, 0, 9, 0, 0],
  'adapt {signal:{refresh:adaptive,probe_every:1,refresh_min:2,refresh_max:3,aggregate:max}}': [
    3, 0, 12, 0, 12, 0,
  ],
  'adapt {signal:{refresh:rolling,refresh_every:4,aggregate:zmax,center:true},gate:{temperature:0.1}}': [
    3, 0, 0, 0, 8, 0,
  ],
  'adapt {signal:{score_eval:true}}': [3, 0, 0, 0, 0, 0],
  'adapt {gate:{kind:softmax,temperature:0.2}}': [3, 0, 0, 0, 0, 0],
  'adapt {gate:{temperature:0.2},shuffle:true}': [3, 0, 0, 0, 0, 0],
  'adapt {gate:{temperature:0.2},collapse:source}': [3, 0, 0, 0, 0, 0],
  'adapt {signal:{refresh:rolling,refresh_every:2,aggregate:zmax,score_shrinkage:within_source},gate:{temperature:0.2}}':
    [3, 0, 8, 0, 8, 0],
  'adapt-paper': [3, 0, 0, 0, 0, 0],
  'adapt-calibrated': [3, 0, 0, 0, 0, 0],
  'adapt-calibrated {signal:{refresh_every:2},gate:{ess:0.8,warmup_ratio:0.05,update_every:1,floor:0.2,trust:separation,anneal:true,anneal_from:0.1,anneal_to:0.5}}':
    [3, 0, 9, 0, 9, 0],
  'adapt-calibrated {signal:{refresh_every:3},gate:{ess:0.8,warmup_ratio:0.05,update_every:2}}': [
    3, 0, 0, 9, 0, 0,
  ],
  'adapt-calibrated {signal:{refresh_every:2,score_shrinkage:within_source},gate:{ess:0.8,warmup_ratio:0.05,update_every:2}}':
    [3, 0, 9, 0, 9, 0],
  'adapt-contrastive {signal:{refresh_every:3,projection:8,background:6},gate:{ess:0.8,warmup_ratio:0.05,update_every:2}}':
    [0, 0, 0, 0, 0, 3],
  'adapt-contrastive {signal:{form:odds,prior:0.2,refresh_every:2,background:2},gate:{kind:sigmoid}}': [
    0, 0, 0, 3, 0, 3,
  ],
  'adapt-contrastive {signal:{refresh_every:2,background:6,score_shrinkage:within_source}}': [
    0, 0, 0, 0, 3, 0,
  ],
  dataflex: [3, 0, 0, 0, 0, 0],
  'dataflex {signal:{refresh_every:3},gate:{temperature:0.2,warmup_steps:2,accumulation:2,world:2}}': [
    0, 0, 3, 9, 0, 0,
  ],
  // How far the target moved.
  'joint-update-aware {signal:{target:rotating,target_batch:3,refresh_every:2,pooling:mean,tokens:response_only}}':
    [0, 0, 3, 0, 3, 0],
}

describe.each(CASES.map((of) => [of.name, of] as const))('%s on a device', (name, of) => {
  it('trains as on the CPU, and crosses to the host as often as said above', () => {
    using onDevice = runOn(DEVICE, of)
    const counts = Array.from({ length: 6 }, () => counted(() => onDevice.step()).counts)
    expect(counts.map(({ copiesToHost }) => copiesToHost)).toEqual(COPIES[name] ?? [1, 1, 1, 1, 1, 1])
    expect(counts.map(({ scalarReads }) => scalarReads)).toEqual(SCALAR_READS[name] ?? [0, 0, 0, 0, 0, 0])
    expect(counts.map(({ hostScalars, waits }) => hostScalars + waits)).toEqual([0, 0, 0, 0, 0, 0])

    using onHost = runOn('cpu', of)
    onHost.steps(6)
    expect(onDevice.model.device).toBe(DEVICE)
    for (const [i, loss] of onHost.losses.entries()) expect(onDevice.losses[i]).toBeCloseTo(loss, 5)
    expect(worstDistance(onDevice.parameters(), onHost.parameters())).toBeLessThan(1e-4)
  })
})

const LORA = { ...LORA_DEFAULTS, r: 4 }
interface Expectation {
  /** What LibTorch 1.13 lacks. */
  readonly needs?: string
  /** Other numbers than on the CPU: other draws, or other roundings to bfloat16. */
  readonly isOfItsOwn?: boolean
  readonly hostScalars?: number
}

/** Autograd of LibTorch 1.13 keeps the scale of an adapter as a tensor of the host; a kernel takes it as an argument, without a wait. */
const ADAPTER_SCALES = 8
const SETTINGS: Readonly<Record<string, Setting & Expectation>> = {
  'clipped gradients': { trainer: { maxGradNorm: 1e-3 } },
  'a moving average': { trainer: { emaDecay: 0.9 } },
  'recomputed activations': { trainer: { gradientCheckpointing: true } },
  LoRA: { prepare: (model) => addLora(model, LORA, 3), hostScalars: ADAPTER_SCALES },
  'LoRA with recomputed activations': {
    prepare: (model) => addLora(model, LORA, 3),
    trainer: { gradientCheckpointing: true },
    hostScalars: ADAPTER_SCALES,
  },
  'LoRA with dropout': {
    prepare: (model) => addLora(model, { ...LORA, loraDropout: 0.2 }, 3),
    needs: 'default generator for this key',
    isOfItsOwn: true,
    hostScalars: ADAPTER_SCALES,
  },
  'autocast to bfloat16': {
    trainer: { autocastDtype: 'bfloat16' },
    needs: 'autocast for this key',
    isOfItsOwn: true,
  },
  'autocast with recomputed activations': {
    trainer: { autocastDtype: 'bfloat16', gradientCheckpointing: true },
    needs: 'autocast for this key',
    isOfItsOwn: true,
  },
}

describe.each(Object.entries(SETTINGS))('%s on a device', (_, setting) => {
  const { needs, hostScalars = 0 } = setting
  it.for(['uniform', 'adapt', 'adapt-calibrated'])('takes one copy a step to the host (%s)', (id, {
    skip,
  }) => {
    if (needs !== undefined && isOld()) skip(`LibTorch 1.13 has no ${needs}`)
    const of = CASES.find(({ name }) => name === id)!
    using run = runOn(DEVICE, of, setting)
    run.steps(2)
    const { counts } = counted(() => withForbidden(['scalarReads', 'waits'], () => run.step()))
    expect(counts).toMatchObject({ copiesToHost: 1, scalarReads: 0, waits: 0 })
    expect(counts.hostScalars).toBe(isOld() ? hostScalars : 0)
    if (setting.isOfItsOwn) return
    using onHost = runOn('cpu', of, setting)
    onHost.steps(3)
    expect(worstDistance(run.parameters(), onHost.parameters())).toBeLessThan(1e-4)
  })
})

describe.each(CASES.map((of) => [of.name, of] as const))('a checkpoint of %s', (_, of) => {
  it('goes from the device to the CPU and back', () => {
    using onHost = runOn('cpu', of)
    onHost.steps(5)
    using first = runOn(DEVICE, of)
    first.steps(2)
    using second = runOn('cpu', of)
    second.load(first.save()).steps(1)
    using third = runOn(DEVICE, of)
    third.load(second.save()).steps(2)
    for (const [i, loss] of [...first.losses, ...second.losses, ...third.losses].entries())
      expect(loss).toBeCloseTo(onHost.losses[i]!, 5)
    expect(worstDistance(third.parameters(), onHost.parameters())).toBeLessThan(1e-4)
  })
})
