import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DType, memoryStats, resetPeakMemoryStats } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { createMethod, METHODS, resolveMethod } from '../catalog/index.js'
import { loadConfig, planSteps } from '../config/index.js'
import { type AdapterSpec, estimateMemory, estimateParameters, estimateRun } from '../estimate/index.js'
import { NO_ARTEFACT } from '../method/preparation.js'
import { addLora, CausalLM, LORA_DEFAULTS, type ModelConfig } from '../model/index.js'
import { batchOf, createTokens, TINY_CONFIG } from '../model/tiny-llama.test.fixture.js'
import { openInputs, orderData } from '../open/index.js'
import { readEvents } from '../record/index.js'
import { Trainer } from '../train/index.js'
import { Workshop } from './workshop.test.fixture.js'

const SHAPES: Readonly<Record<string, Partial<ModelConfig>>> = {
  plain: {},
  tied: { tieWordEmbeddings: true },
  'with biases': { attentionBias: true, outputBias: true, mlpBias: true },
  'with norms of heads of their own size': { qkNorm: true, headDim: 6 },
}

const TARGETS: readonly AdapterSpec['targetModules'][] = [
  ['q_proj', 'v_proj'],
  ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
  'all-linear',
  'model\\.layers\\.1\\.mlp\\..*_proj',
]

describe('estimated parameters', () => {
  it.each(Object.entries(SHAPES))('are those of a built model: %s', (_, shape) => {
    const config = { ...TINY_CONFIG, ...shape }
    using model = new CausalLM(config)
    const { total, trainable, embedding, nonEmbedding } = estimateParameters(config)
    expect(total).toBe(model.numParameters)
    expect([trainable, embedding + nonEmbedding]).toEqual([total, total])
  })

  it.each(TARGETS)('are those of the adapters on %s', (targetModules) => {
    using model = new CausalLM(TINY_CONFIG)
    addLora(model, { ...LORA_DEFAULTS, r: 3, targetModules }, 0)
    const { total, trainable, adapters } = estimateParameters(TINY_CONFIG, { r: 3, targetModules })
    expect(trainable).toBe(model.trainableParameters().reduce((sum, { numel }) => sum + numel, 0))
    expect(total).toBe(model.numParameters)
    expect(adapters.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(trainable)
  })

  it.each(['z_proj', 'lm_head'])('are refused as the model refuses them: %s', (target) => {
    const messageOf = (action: () => unknown) => {
      try {
        action()
      } catch (error) {
        return (error as Error).message
      }
      return undefined
    }
    using model = new CausalLM(TINY_CONFIG)
    const expected = messageOf(() => addLora(model, { ...LORA_DEFAULTS, targetModules: [target] }, 0))
    expect(expected).toContain('target_modules')
    expect(messageOf(() => estimateParameters(TINY_CONFIG, { r: 8, targetModules: [target] }))).toBe(expected)
  })
})

const WIDE: ModelConfig = {
  ...TINY_CONFIG,
  vocabSize: 512,
  hiddenSize: 64,
  intermediateSize: 176,
  numHiddenLayers: 4,
  headDim: 16,
  maxPositionEmbeddings: 128,
}
const ROWS = 4
const LENGTH = 128

/** Bytes that the second step of a training has at its peak, the model included. */
function measuredPeak(setting: {
  lora: boolean
  checkpointing: boolean
  dtype: DType
  dropout: number
  emaDecay?: number
}): number {
  const before = memoryStats().allocatedBytes
  using model = new CausalLM(WIDE)
  if (setting.lora)
    addLora(model, { ...LORA_DEFAULTS, targetModules: 'all-linear', loraDropout: setting.dropout }, 0)
  const method = createMethod(
    resolveMethod({ preset: 'uniform' }, (_, message) => {
      throw new Error(message)
    }),
    {
      totalSteps: 4,
      stepsPerEpoch: 2,
      isPlainText: true,
      seed: 0,
      dataset: { numSamples: ROWS, sources: ['s'], sourceIndex: () => 0, length: () => LENGTH },
    },
  )
  using trainer = new Trainer(model, method, [], {
    totalSteps: 4,
    learningRate: 1e-3,
    gradientCheckpointing: setting.checkpointing,
    autocastDtype: setting.dtype,
    lossChunkSize: 128,
    emaDecay: setting.emaDecay,
  })
  const tokens = createTokens(3, 500)
  const batch = batchOf(
    Array.from({ length: ROWS }, () => [{ tokens: tokens(LENGTH) }]),
    { maxLength: LENGTH },
  )
  trainer.runStep([batch])
  resetPeakMemoryStats()
  trainer.runStep([batch])
  return memoryStats().peakBytes - before
}

describe('the estimated length of a run', () => {
  it('is that of the run once the data was tokenised', async () => {
    const cacheDir = mkdtempSync(join(tmpdir(), 'adapt-estimate-'))
    try {
      const example = fileURLToPath(new URL('../../../../examples/instruct.yaml', import.meta.url))
      const set = [`data.cache_dir=${cacheDir}`, 'data.train=[instruct/train/python-code.jsonl.gz]']
      const { config, baseDir } = await loadConfig(example, { set: [...set, 'data.val_set_size=20'] })
      const lengthOf = async () => (await estimateRun(config, baseDir, { devices: [], mfu: 0.4 })).length
      expect(await lengthOf()).toBeUndefined()
      const inputs = await openInputs(config, baseDir, { needsAnchors: false, onLine: () => {} })
      const { rows, train } = orderData(config, inputs, NO_ARTEFACT)
      const { totalSteps, stepsPerEpoch } = planSteps(config, (epoch) => rows.numRowsPerEpoch(epoch))
      expect(await lengthOf()).toEqual({
        steps: totalSteps,
        stepsPerEpoch,
        passes: 2,
        tokens: 2 * train.numTokens,
        samples: train.numSamples,
        tokensPerPass: train.numTokens,
        basis: 'token cache',
      })
      train.close()
    } finally {
      rmSync(cacheDir, { recursive: true, force: true })
    }
  })
})

describe('estimated memory', () => {
  it.each([
    { lora: false, checkpointing: false, dtype: 'float32', dropout: 0 },
    { lora: false, checkpointing: true, dtype: 'float32', dropout: 0 },
    { lora: false, checkpointing: false, dtype: 'bfloat16', dropout: 0 },
    { lora: false, checkpointing: true, dtype: 'bfloat16', dropout: 0 },
    { lora: true, checkpointing: false, dtype: 'float32', dropout: 0 },
    { lora: true, checkpointing: false, dtype: 'float32', dropout: 0.1 },
    { lora: true, checkpointing: true, dtype: 'float32', dropout: 0.1 },
    { lora: true, checkpointing: false, dtype: 'bfloat16', dropout: 0 },
  ] as const)('is near what a step takes: %o', (setting) => {
    const { total } = estimateMemory(WIDE, {
      rows: ROWS,
      length: LENGTH,
      baseBytes: 4,
      computeBytes: setting.dtype === 'bfloat16' ? 2 : 4,
      checkpointing: setting.checkpointing,
      lossChunkSize: 128,
      ownKernels: true,
      ...(setting.lora ? { lora: { r: 8, targetModules: 'all-linear', dropout: setting.dropout } } : {}),
    })
    const ratio = total / measuredPeak(setting)
    expect(ratio).toBeGreaterThan(0.9)
    expect(ratio).toBeLessThan(1.2)
  })

  it.each([false, true])('counts a moving average of what is trained, adapters: %s', (lora) => {
    const setting = { lora, checkpointing: false, dtype: 'float32', dropout: 0 } as const
    const { average } = estimateMemory(WIDE, {
      ...{
        rows: ROWS,
        length: LENGTH,
        baseBytes: 4,
        computeBytes: 4,
        checkpointing: false,
        lossChunkSize: 128,
      },
      ...(lora ? { lora: { r: 8, targetModules: 'all-linear', dropout: 0 } } : {}),
      keepsAverage: true,
    })
    expect(average).toBeGreaterThan(0)
    expect(measuredPeak({ ...setting, emaDecay: 0.9 }) - measuredPeak(setting)).toBe(average)
  })
})

describe('estimated FLOPs', () => {
  const workshop = new Workshop()
  afterAll(() => workshop[Symbol.dispose]())
  const CONTROLS = ['', ', shuffle: true', ', collapse: source', ', signal: { score_eval: true }']
  // Preparations have tests of their own.
  const unprepared = METHODS.filter(({ signal }) => !('prepare' in signal))
  const methods = unprepared
    .filter(({ apply }) => apply === 'loss')
    .flatMap(({ id }) =>
      CONTROLS.filter((control) => id.startsWith('adapt') || !control.includes('score_eval')).map(
        (control) => `{ preset: ${id}${control} }`,
      ),
    )
  // Which samples these train on is known afterwards.
  const steering = unprepared.filter(({ apply }) => apply !== 'loss')
  const set = [
    'training={ num_train_epochs: 2, per_device_train_batch_size: 16, gradient_checkpointing: true, bf16: false }',
    'data.max_length=8',
    'evaluation={}',
  ]

  /** Which samples its refreshes embed beside the anchors is known afterwards. */
  const isNear = (method: string): boolean => method.includes('adapt-contrastive')

  it.each([
    ...methods,
    '{ preset: adapt, gate: { kind: softmax } }',
    '{ preset: adapt, signal: { refresh_every: epoch } }',
  ])('are what a run charges: %s', async (method) => {
    const name = `charge-${methods.indexOf(method)}`
    const packing = method.includes('dataflex') ? ['data.packing=false'] : []
    // A control changes what a step charges, not how epochs add up: one is enough.
    const isControl = CONTROLS.some((control) => control !== '' && method.includes(control))
    const epochs = isControl ? ['training.num_train_epochs=1'] : []
    const own = [...set, ...epochs, ...packing, `method=${method}`]
    const { outcome } = await workshop.train(name, own, { overwrite: true })
    const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), { set: own })
    const { flops } = await estimateRun(config, baseDir, { devices: [], mfu: 0.4 })
    const last = outcome.steps.at(-1)!
    if (isNear(method)) expect(Math.abs(flops.signal / last.flopsSignal - 1)).toBeLessThan(0.05)
    else expect(flops.signal).toBe(last.flopsSignal)
    expect(flops.train).toBe(last.flopsTrain)
  })

  it.each(steering.map(({ id }) => id))('are near what a run of %s charges', async (id) => {
    const own = [...set, `method=${id}`]
    const { outcome } = await workshop.train(`steer-${id}`, own, { overwrite: true })
    const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), { set: own })
    const { flops } = await estimateRun(config, baseDir, { devices: [], mfu: 0.4 })
    const last = outcome.steps.at(-1)!
    expect(Math.abs(flops.train / last.flopsTrain - 1)).toBeLessThan(0.05)
    if (last.flopsSignal === 0) expect(flops.signal).toBe(0)
    else expect(Math.abs(flops.signal / last.flopsSignal - 1)).toBeLessThan(0.05)
  })

  it.each([
    '{ preset: adapt, gate: { kind: softmax } }',
    '{ preset: adapt, shuffle: true }',
  ])('are what a run of two micro-batches a step charges: %s', async (method) => {
    // 90 samples, so that no step is short: one of a single micro-batch needs no scoring forward.
    const accumulated = [
      ...set.slice(1),
      'training={ num_train_epochs: 2, per_device_train_batch_size: 3, gradient_accumulation_steps: 2, bf16: false }',
      `method=${method}`,
    ]
    const { outcome } = await workshop.train('accumulated', accumulated, { overwrite: true })
    const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), { set: accumulated })
    const { flops } = await estimateRun(config, baseDir, { devices: [], mfu: 0.4 })
    const last = outcome.steps.at(-1)!
    expect([flops.signal, flops.train]).toEqual([last.flopsSignal, last.flopsTrain])
    // Scoring is one forward more.
    expect(last.flopsSignal / last.flopsTrain).toBeGreaterThan(1 / 3)
  })

  // Anchors are shorter than max_length; with k = 5 not all of them have room before a sample.
  const roomy = ['data.train=[web.jsonl]', 'data.max_length=48', 'model.config.max_position_embeddings=160']
  it.each([
    '{ preset: ica, signal: { k: 2, rounds: 3 } }',
    '{ preset: ica, signal: { k: 5, scored: 1 } }',
    '{ preset: tacs, signal: { epochs_per_unit: 1, scored: 0.3 } }',
    '{ preset: rds-plus }',
    '{ preset: less, signal: { projection: 64 }, gate: { keep: 0.5 } }',
  ])('are near what a run of %s charges before training, and in later rounds', async (method) => {
    const name = `before-${method.replace(/\W+/g, '-')}`
    const own = [...set, ...roomy, `method=${method}`]
    const { outcome } = await workshop.train(name, own)
    const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), { set: own })
    const { flops, anchors } = await estimateRun(config, baseDir, { devices: [], mfu: 0.4 })
    expect(anchors.tokensEach).toBeLessThan(40)
    const { events } = readEvents(join(workshop.runFolder(name), 'events.jsonl'))
    const prepared = events.find(({ type }) => (type as string) === 'prepared') as unknown as {
      flops: number
    }
    expect(Math.abs(flops.preparation / prepared.flops - 1)).toBeLessThan(0.05)
    const { flopsSignal } = outcome.steps.at(-1)!
    expect(flopsSignal > 0).toBe(method.includes('rounds'))
    expect(Math.abs(flops.signal - flopsSignal)).toBeLessThanOrEqual(0.05 * flopsSignal)
  })

  it('are what a run charges where the mixing reads long samples more often than there are', async () => {
    const mixed = [...set, 'method=uniform', 'data.max_length=32', 'data.mixing={ web: 20, code: 1 }']
    const { outcome } = await workshop.train('mixed', mixed)
    const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), { set: mixed })
    const { flops } = await estimateRun(config, baseDir, { devices: [], mfu: 0.4 })
    expect(flops.train / outcome.steps.at(-1)!.flopsTrain).toBeCloseTo(1, 1)
  })
})
