/**
 * Whether a large model fits and steps on a device: random weights, one micro-batch a step, activation checkpointing.
 *
 *   node bench/dist/large.bench.js [--device cuda] [--model 7b] [--rows 4] [--length 2048] [--steps 5] [--full]
 *
 * First LoRA r 16 on all linear layers of a bf16 base; with --full then all parameters, in float32 under bf16 autocast.
 * The last line of the output is one JSON object: tokens per second, peak memory, share of `--peak-tflops`.
 */
import { addLora, type CausalLM, countParameters, type Trainer } from '@adapt-ts/adapt'
import {
  buildInfo,
  emptyCache,
  memoryStats,
  resetPeakMemoryStats,
  setNumThreads,
  synchronize,
} from '@adapt-ts/torch'
import { modelShape } from './model-shapes.js'
import { readOptions } from './read-options.js'
import { medianInterval, rounded } from './statistics.js'
import { createRandomModel, randomTokens, toBatch, trainerOf } from './step-runner.js'

const args = readOptions(import.meta.url, {
  device: { type: 'string', default: 'cuda' },
  model: { type: 'string', default: '7b' },
  rows: { type: 'string', default: '4' },
  length: { type: 'string', default: '2048' },
  steps: { type: 'string', default: '5' },
  threads: { type: 'string', default: '2' },
  full: { type: 'boolean', default: false },
  /** Dense bf16 TFLOP/s of the device; H200: 989. */
  'peak-tflops': { type: 'string', default: '989' },
})
const { device } = args
const numSteps = Number(args.steps)
const numWarmUp = 2
const config = modelShape(args.model)
const shape = { config, rows: Number(args.rows), length: Number(args.length) }
const numTokens = shape.rows * shape.length

function measure(what: string, make: () => CausalLM) {
  resetPeakMemoryStats(device)
  const start = performance.now()
  using model = make()
  synchronize(device)
  const loadSeconds = (performance.now() - start) / 1000
  const modelBytes = memoryStats(device).allocatedBytes
  using trainer = trainerOf(model, { dtype: 'bfloat16', gradientCheckpointing: true })
  const { times, firstLoss, record } = timeSteps(trainer)
  const seconds = medianInterval(times).median
  // As the product counts them: what is recomputed is not among them.
  const flops = record.flopsTrain / trainer.step
  const figures = {
    parameters: countParameters(config).total,
    trained_parameters: model.numTrainableParameters,
    tokens_per_step: numTokens,
    tokens_per_second: Math.round(numTokens / seconds),
    step_seconds: rounded(seconds, 4),
    step_seconds_range: [rounded(Math.min(...times), 4), rounded(Math.max(...times), 4)],
    model_bytes: modelBytes,
    peak_bytes: memoryStats(device).peakBytes,
    peak_flops_share: rounded(flops / seconds / (Number(args['peak-tflops']) * 1e12)),
    first_loss: rounded(firstLoss, 4),
    last_loss: rounded(record.lossWeighted, 4),
    create_seconds: rounded(loadSeconds, 1),
  }
  console.log(
    `${what}: ${figures.tokens_per_second} tok/s, ${figures.step_seconds} s a step, peak ${(figures.peak_bytes / 2 ** 30).toFixed(1)} GiB`,
  )
  return figures
}

function timeSteps(trainer: Trainer) {
  const times: number[] = []
  let firstLoss = Number.NaN
  const batches = Array.from({ length: numWarmUp + numSteps }, (_, step) =>
    toBatch(randomTokens(shape.rows * (shape.length + 1), config.vocabSize, step), shape),
  )
  for (let step = 0; ; step++) {
    const start = performance.now()
    const { record } = trainer.runStep([batches[step]!], 0, () => batches.slice(step + 1, step + 2))
    synchronize(device)
    if (step === 0) firstLoss = record.lossWeighted
    if (step >= numWarmUp) times.push((performance.now() - start) / 1000)
    if (times.length === numSteps) return { times, firstLoss, record }
  }
}

/** The figures, or why there are none: that a model does not fit is an answer. */
function attempt(what: string, make: () => CausalLM) {
  try {
    return measure(what, make)
  } catch (error) {
    const message = (error as Error).message.split('\n')[0]!
    console.log(`${what}: ${message}`)
    return { error: message }
  } finally {
    emptyCache(device)
  }
}

setNumThreads(Number(args.threads))
console.log(
  `LibTorch ${buildInfo().libtorchVersion}, ${device}; ${args.model}, ${shape.rows} x ${shape.length} tokens a step`,
)
const lora = attempt('LoRA r 16 on all linear layers, bf16 base', () => {
  const model = createRandomModel(config, { dtype: 'bfloat16', device, requiresGrad: false })
  const targetModules = 'all-linear'
  addLora(model, { r: 16, loraAlpha: 32, loraDropout: 0, targetModules, useRslora: false }, 0)
  return model
})
const full = args.full
  ? attempt('all parameters, float32 under bf16 autocast', () =>
      createRandomModel(config, { dtype: 'float32', device, requiresGrad: true }),
    )
  : undefined
console.log(JSON.stringify({ model: args.model, lora, ...(full ? { full } : {}) }))
if ('error' in lora) process.exitCode = 1
