/**
 * What a training step asks of CUDA: copies between host and device, waits, kernel launches; and how much of its time
 * the host spends waiting, which says whether the host is the limit.
 *
 *   node bench/dist/transfers.bench.js [--device cuda] [--preset llama-120m] [--steps 8]
 *
 * A library that is loaded first counts the calls (native/cuda-calls.cpp); it needs a C++ compiler. The last line of the
 * output is one JSON object: for each shape and method, figures per step.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Batch, MethodId, Trainer } from '@adapt-ts/adapt'
import { buildInfo, setNumThreads, synchronize } from '@adapt-ts/torch'
import { modelShape } from './model-shapes.js'
import { benchFolder } from './peer-process.js'
import { readOptions } from './read-options.js'
import { rounded } from './statistics.js'
import { type BenchShape, createRunner, randomTokens, toBatch } from './step-runner.js'

const args = readOptions(import.meta.url, {
  device: { type: 'string', default: 'cuda' },
  preset: { type: 'string', default: 'llama-120m' },
  rows: { type: 'string', default: '32' },
  length: { type: 'string', default: '1024' },
  steps: { type: 'string', default: '8' },
  threads: { type: 'string', default: '2' },
})

/** In the order of native/cuda-calls.cpp; all per step. */
const COUNTERS = [
  ...['copies_to_device', 'bytes_to_device', 'copies_to_host', 'bytes_to_host', 'copies_on_device'],
  ...['waits', 'wait_ns', 'launches', 'launch_ns', 'copy_ns', 'allocations'],
] as const
type Counts = Record<(typeof COUNTERS)[number], number>

function runCounted(): void {
  const folder = mkdtempSync(join(tmpdir(), 'adapt-bench-transfers-'))
  try {
    const library = join(folder, 'cuda-calls.so')
    const source = join(benchFolder, 'native', 'cuda-calls.cpp')
    const flags = ['-std=c++17', '-O2', '-fPIC', '-shared', source, '-o', library, '-ldl']
    execFileSync(process.env.CXX ?? 'g++', flags, { stdio: ['ignore', 'ignore', 'inherit'] })
    const counts = join(folder, 'counts')
    writeFileSync(counts, Buffer.alloc(8 * COUNTERS.length))
    const { status } = spawnSync(process.execPath, process.argv.slice(1), {
      stdio: 'inherit',
      env: { ...process.env, LD_PRELOAD: library, ADAPT_CUDA_CALLS: counts },
    })
    process.exitCode = status ?? 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function readCounts(): Counts {
  const buffer = Buffer.alloc(8 * COUNTERS.length)
  const file = openSync(process.env.ADAPT_CUDA_CALLS!, 'r')
  readSync(file, buffer)
  closeSync(file)
  const entries = COUNTERS.map((name, i) => [name, Number(buffer.readBigUInt64LE(8 * i))])
  return Object.fromEntries(entries) as Counts
}

function batchesOf(shape: BenchShape, count: number, seed: number): Batch[] {
  const perBatch = shape.rows * (shape.length + 1)
  return Array.from({ length: count }, (_, i) =>
    toBatch(randomTokens(perBatch, shape.config.vocabSize, seed + i), shape, i * shape.rows),
  )
}

function measure(trainer: Trainer, batches: readonly Batch[]) {
  const numSteps = batches.length
  const run = (steps: readonly Batch[]) =>
    steps.forEach((batch, i) => {
      trainer.runStep([batch], 0, () => steps.slice(i + 1, i + 2))
    })
  run(batches.slice(0, 3))
  synchronize(args.device)
  const before = readCounts()
  const start = performance.now()
  run(batches)
  const counts = readCounts()
  const hostMs = performance.now() - start
  synchronize(args.device)
  const stepMs = (performance.now() - start) / numSteps
  const perStep = (name: keyof Counts) => (counts[name] - before[name]) / numSteps
  const waitMs = perStep('wait_ns') / 1e6
  return {
    ...Object.fromEntries(
      COUNTERS.filter((name) => !name.endsWith('_ns')).map((name) => [name, rounded(perStep(name), 2)]),
    ),
    step_ms: rounded(stepMs),
    /** The host was held up in waits; the rest of the step it worked, or was held up by a full queue of launches. */
    wait_ms: rounded(waitMs),
    host_ms: rounded(hostMs / numSteps - waitMs),
    launch_ms: rounded(perStep('launch_ns') / 1e6),
    copy_ms: rounded(perStep('copy_ns') / 1e6),
    /** Below about 0.1 the device waits for the host. */
    wait_share: rounded(waitMs / stepMs),
  }
}

function measureShape(shape: BenchShape, methods: readonly MethodId[]) {
  const anchorShape = { ...shape, rows: 8 }
  return Object.fromEntries(
    methods.map((method) => {
      const anchors = method === 'uniform' ? [] : batchesOf(anchorShape, 1, 1000)
      const trainer = createRunner(shape, { dtype: 'bfloat16', device: args.device, method, anchors })
      const figures = measure(trainer, batchesOf(shape, Number(args.steps), 1))
      trainer.dispose()
      trainer.model.dispose()
      console.log(`${shape.rows} x ${shape.length}, ${method}: ${JSON.stringify(figures)}`)
      return [method, figures]
    }),
  )
}

function main(): void {
  setNumThreads(Number(args.threads))
  const config = modelShape(args.preset)
  const [rows, length] = [Number(args.rows), Number(args.length)]
  console.log(`LibTorch ${buildInfo().libtorchVersion}, ${args.device}; ${args.preset}, bf16 autocast`)
  const methods = measureShape({ config, rows, length }, ['uniform', 'adapt-calibrated'])
  // So little work that the host decides: what launches cost.
  const smallShape = { config, rows: 2, length: Math.min(length, 128) }
  const small = { shape: `2 x ${smallShape.length}`, ...measureShape(smallShape, ['uniform']) }
  console.log(JSON.stringify({ shape: `${rows} x ${length}`, ...methods, small }))
}

if (process.env.ADAPT_CUDA_CALLS === undefined) runCounted()
else main()
