/** Our side of `bench:sft`: reads what python/sft_peer.py reads and answers as it does. */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  type Batch,
  buildBatch,
  createMethod,
  loadAdapterFolder,
  loadModelFolder,
  type ModelDType,
  type TokenizedSample,
  Trainer,
} from '@adapt-ts/adapt'
import { memoryStats, setNumThreads, synchronize, type Tensor, writeSafetensors } from '@adapt-ts/torch'
import type { SftOptions, SftRow } from './sft-case.js'
import { UNIFORM } from './step-runner.js'

/** What a block of steps answers. */
export interface SftBlock {
  readonly losses: readonly number[]
  /** Before clipping. */
  readonly grad_norms: readonly number[]
  readonly seconds: number
  readonly cpu_seconds: number
  /** Highest resident memory of the process since its start. */
  readonly peak_resident_bytes: number
  /** Highest memory of the device's tensors since the start; 0 on the CPU. */
  readonly peak_device_bytes: number
}

const options = JSON.parse(process.argv[2]!) as SftOptions
let { gradients } = options
const emit = (record: object) => process.stdout.write(`${JSON.stringify(record)}\n`)

function peakResidentBytes(): number {
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  if (!found) throw new Error('/proc/self/status has no VmHWM')
  return Number(found[1]) * 1024
}

function createTrainer(): Trainer {
  const { device } = options
  const dtype = options.dtype as ModelDType
  const model = loadModelFolder(options.model, { dtype, device, requiresGrad: false })
  loadAdapterFolder(model, options.adapter)
  const totalSteps = 1_000_000
  const method = createMethod(UNIFORM, { totalSteps, stepsPerEpoch: totalSteps, isPlainText: false })
  return new Trainer(model, method, [], {
    totalSteps,
    learningRate: options.learning_rate,
    schedule: 'constant',
    maxGradNorm: options.max_grad_norm,
    autocastDtype: options.dtype,
    gradientCheckpointing: options.gradient_checkpointing,
  })
}

/** The adapter's gradients under PEFT's names; the trainer leaves them until its next step. */
function writeGradients(path: string): void {
  const named = new Map<string, Tensor>()
  for (const [name, parameter] of trainer.model.namedParameters()) {
    const [, layer, matrix] = /^(.*)\.lora\.([AB])$/.exec(name) ?? []
    if (layer !== undefined) named.set(`base_model.model.${layer}.lora_${matrix}.weight`, parameter.grad!)
  }
  writeSafetensors(path, named)
}

function sample(index: number): TokenizedSample {
  const { input_ids, completion_mask } = rows[index % rows.length]!
  const tokens = Int32Array.from(input_ids)
  const labelMask = Uint8Array.from(completion_mask)
  return { index, id: `row-${index}`, source: 'bench', weight: 1, path: '', line: 0, tokens, labelMask }
}

/** Made while a device works on the step before, where there is one. */
let ahead: Batch | undefined

function nextBatch(): Batch {
  const batchRows = Array.from({ length: options.rows }, (_, row) => [next + row])
  next += options.rows
  return buildBatch(batchRows, { sample }, { packing: false, padId: options.pad_id })
}

function run(steps: number): SftBlock {
  const start = performance.now()
  const startCpu = process.cpuUsage()
  const losses: number[] = []
  const norms: number[] = []
  for (let i = 0; i < steps; i++) {
    const batch = ahead ?? nextBatch()
    ahead = undefined
    const { record } = trainer.runStep([batch], 0, () => {
      ahead = nextBatch()
      return [ahead]
    })
    losses.push(record.lossWeighted)
    norms.push(record.gradNorm)
    if (gradients) writeGradients(gradients)
    gradients = null
  }
  synchronize(options.device)
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(startCpu)
  return {
    losses,
    grad_norms: norms,
    seconds,
    cpu_seconds: (user + system) / 1e6,
    peak_resident_bytes: peakResidentBytes(),
    peak_device_bytes: options.device === 'cpu' ? 0 : memoryStats(options.device).peakBytes,
  }
}

setNumThreads(options.threads)
const rows = JSON.parse(readFileSync(options.data, 'utf8')) as SftRow[]
const trainer = createTrainer()
let next = 0
const parameters = trainer.model.parameters()
emit({
  ready: true,
  parameters: parameters.reduce((sum, { numel }) => sum + numel, 0),
  trained_parameters: trainer.model.numTrainableParameters,
  dtypes: [...new Set(parameters.map((p) => `${p.requiresGrad ? 'adapter' : 'base'} ${p.dtype}`))].sort(),
})
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const { steps } = JSON.parse(line) as { steps?: number }
    if (steps === undefined) break
    emit(run(steps))
  }
} catch (error) {
  emit({ error: (error as Error).message })
  process.exitCode = 1
}
