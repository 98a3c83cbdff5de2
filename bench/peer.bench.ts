/**
 * Tokens per second and peak tensor bytes of the product's training step against eager PyTorch of the same LibTorch
 * version, in interleaved blocks. The losses of both sides are compared before anything is timed.
 *
 *   npm run bench:peer -- [--blocks 20] [--steps 2] [--dtypes float32,bfloat16] [--threads 2]
 *     [--device cuda] [--no-compile] [--preset llama-1m|32m|llama-120m] [--rows 32] [--length 1024] [--loss-chunk N]
 *
 * A second peer goes through torch.compile where its version has that. The last line of the output is one JSON object.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  buildInfo,
  type DType,
  emptyCache,
  memoryStats,
  resetPeakMemoryStats,
  setNumThreads,
  synchronize,
} from '@adapt-ts/torch'
import { MatrixProducts, stepFlops } from './matrix-products.js'
import { modelShape } from './model-shapes.js'
import { buildPeerAllocator } from './peer-allocator.js'
import { Peer, peerOptions, peerSizes, requirePeer } from './peer-process.js'
import { readOptions } from './read-options.js'
import { medianInterval, rounded } from './statistics.js'
import { type BenchShape, createRunner, randomTokens, toBatch, writeWeights } from './step-runner.js'

const args = readOptions(import.meta.url, {
  blocks: { type: 'string', default: '20' },
  steps: { type: 'string', default: '2' },
  dtypes: { type: 'string', default: 'float32,bfloat16' },
  threads: { type: 'string', default: '2' },
  device: { type: 'string', default: 'cpu' },
  preset: { type: 'string', default: 'llama-10m' },
  rows: { type: 'string', default: '16' },
  length: { type: 'string', default: '256' },
  compile: { type: 'boolean', default: true },
  'loss-chunk': { type: 'string' },
})
delete process.env.OPENBLAS_CORETYPE

const numBlocks = Number(args.blocks)
const stepsPerBlock = Number(args.steps)
const numCheckSteps = 3
/** Different batches; both sides go round them in the same order. */
const numBatches = 8
const { device } = args
const isCpu = device === 'cpu'
const shape: BenchShape = {
  // The peer has a head of its own.
  config: { ...modelShape(args.preset), tieWordEmbeddings: false },
  rows: Number(args.rows),
  length: Number(args.length),
}
const tokensPerStep = shape.rows * shape.length
const folder = mkdtempSync(join(tmpdir(), 'adapt-bench-'))

interface Figures {
  readonly tokens_per_second_ratio: number
  readonly tokens_per_second_ratio_interval: readonly [number, number]
  readonly tokens_per_second: number
  readonly peer_tokens_per_second: number
  /** Against the peer under torch.compile. */
  readonly tokens_per_second_ratio_compiled?: number
  readonly tokens_per_second_ratio_compiled_interval?: readonly [number, number]
  readonly peer_tokens_per_second_compiled?: number
  /** FLOPs per second of our step / of the fastest matrix product in its dtype. */
  readonly matrix_product_share: number
  readonly matrix_product_flops_per_second: number
  readonly peak_bytes: number
  readonly peak_bytes_ratio: number
  readonly peak_bytes_ratio_checkpointed: number
  readonly checkpointed_step_time_ratio: number
  /** For information: against eager PyTorch that has our allocator too. */
  readonly tokens_per_second_ratio_same_allocator?: number
}

function peerArguments(dtype: DType): string[] {
  const { config, rows, length } = shape
  return peerOptions({
    ...peerSizes(config),
    ...{ device, dtype, threads: args.threads, rows, length },
    ...{ weights: join(folder, 'weights.safetensors'), data: join(folder, 'tokens.bin') },
  })
}

/** Seconds, losses and the exact peak of some steps on our side. */
function stepper(dtype: DType, gradientCheckpointing = false) {
  const lossChunkSize = args['loss-chunk'] === undefined ? undefined : Number(args['loss-chunk'])
  const trainer = createRunner(shape, { dtype, device, gradientCheckpointing, lossChunkSize })
  let next = 0
  return {
    trainer,
    run(steps: number): { seconds: number; losses: number[]; peakBytes: number } {
      resetPeakMemoryStats(device)
      synchronize(device)
      const start = performance.now()
      const losses = Array.from({ length: steps }, () => {
        const batch = batches[next++ % numBatches]!
        return trainer.runStep([batch], 0, () => [batches[next % numBatches]!]).record.lossWeighted
      })
      synchronize(device)
      const seconds = (performance.now() - start) / 1000
      return { seconds, losses, peakBytes: memoryStats(device).peakBytes }
    },
    dispose() {
      trainer.dispose()
      trainer.model.dispose()
      emptyCache(device)
    },
  }
}

const DIFFERENT = 'the two sides do not train the same model'

function assertSameLosses(ours: readonly number[], theirs: readonly number[], dtype: DType): void {
  const tolerance = dtype === 'float32' ? 1e-4 : 2e-2
  const difference = Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]!) / theirs[i]!))
  console.log(
    `${dtype}: losses of the first ${ours.length} steps differ by ${difference.toExponential(1)} (limit ${tolerance})`,
  )
  if (!(difference <= tolerance)) {
    throw new Error(`${DIFFERENT}: ${ours.join(', ')} against ${theirs.join(', ')}`)
  }
}

async function measurePeerPeak(dtype: DType): Promise<number> {
  const peer = new Peer([...peerArguments(dtype), '--measure-peak', '2'])
  const { peak_tensor_bytes } = await peer.read()
  return peak_tensor_bytes as number
}

/** Median ratio over a few blocks with our caching allocator under both sides; tells where a difference comes from. */
async function measureSameAllocator(dtype: DType): Promise<number | undefined> {
  const library = buildPeerAllocator(folder)
  if (!library) return undefined
  const ours = stepper(dtype)
  const peer = new Peer([...peerArguments(dtype), '--preload', library])
  try {
    await peer.read()
    ours.run(1)
    await peer.run(1)
    const ratios: number[] = []
    for (let block = 0; block < 5; block++) {
      const our = ours.run(stepsPerBlock)
      ratios.push((await peer.run(stepsPerBlock)).seconds / our.seconds)
    }
    return medianInterval(ratios).median
  } finally {
    ours.dispose()
    await peer.quit()
  }
}

/** Waits until a peer can step, and compares the losses of its first steps, in which it compiles too. */
async function startPeer(
  peer: Peer,
  dtype: DType,
  ourLosses: readonly number[],
): Promise<Record<string, unknown>> {
  const ready = await peer.read()
  console.log(
    `${dtype}: peer PyTorch ${ready.torch}, ${ready.optimizer} AdamW, ${ready.attention}${ready.compiled ? ', compiled' : ''}, ${ready.threads} threads`,
  )
  assertSameLosses(ourLosses, (await peer.run(numCheckSteps)).losses, dtype)
  return ready
}

/** Undefined where compiling fails: it needs a C++ compiler on a CPU, which says so on its own. Other losses are no such failure. */
async function startCompiledPeer(dtype: DType, ourLosses: readonly number[]): Promise<Peer | undefined> {
  const peer = new Peer([...peerArguments(dtype), '--compile'])
  try {
    await startPeer(peer, dtype, ourLosses)
    return peer
  } catch (error) {
    await peer.quit()
    const { message } = error as Error
    if (message.startsWith(DIFFERENT)) throw error
    console.log(`${dtype}: no compiled peer: ${message.split('\n', 1)[0]}`)
    return undefined
  }
}

/** Both sides in turn, peer after peer, after the losses of each were compared with ours. */
async function measure(dtype: DType): Promise<Figures> {
  const ours = stepper(dtype)
  writeWeights(ours.trainer.model, join(folder, 'weights.safetensors'))
  const products = new MatrixProducts(shape, dtype, device)
  const peers: Peer[] = []
  try {
    const ourLosses = ours.run(numCheckSteps).losses
    const eager = new Peer(peerArguments(dtype))
    peers.push(eager)
    const { compiles } = await startPeer(eager, dtype, ourLosses)
    if (args.compile && compiles === true) {
      const compiled = await startCompiledPeer(dtype, ourLosses)
      if (compiled) peers.push(compiled)
    } else if (args.compile) console.log(`${dtype}: no compiled peer: its PyTorch has no torch.compile`)
    const mine: number[] = []
    const theirs = peers.map((): number[] => [])
    const ratios = peers.map((): number[] => [])
    let peakBytes = 0
    let devicePeak = 0
    for (let block = 0; block < numBlocks; block++) {
      products.measure()
      // The order alternates, so that neither side always follows the other's heat.
      let our = block % 2 === 0 ? ours.run(stepsPerBlock) : undefined
      const seconds: number[] = []
      for (const peer of peers) {
        const their = await peer.run(stepsPerBlock)
        if (peer === peers[0]) devicePeak = Math.max(devicePeak, their.peak_tensor_bytes ?? 0)
        seconds.push(their.seconds)
      }
      our ??= ours.run(stepsPerBlock)
      mine.push((tokensPerStep * stepsPerBlock) / our.seconds)
      for (const [i, their] of seconds.entries()) {
        theirs[i]!.push((tokensPerStep * stepsPerBlock) / their)
        ratios[i]!.push(their / our.seconds)
      }
      peakBytes = Math.max(peakBytes, our.peakBytes)
      const shown = theirs.map(
        (list, i) => `${list.at(-1)!.toFixed(0)} tok/s, ratio ${ratios[i]!.at(-1)!.toFixed(3)}`,
      )
      console.log(
        `${dtype} block ${block + 1}/${numBlocks}: ${mine.at(-1)!.toFixed(0)} tok/s, peer ${shown.join('; compiled ')}`,
      )
    }
    for (const peer of peers) await peer.quit()
    ours.dispose()
    const plainSeconds = tokensPerStep / medianInterval(mine).median
    const sameAllocator = isCpu ? await measureSameAllocator(dtype) : undefined

    const checkpointed = stepper(dtype, true)
    checkpointed.run(1)
    const blocks = Array.from({ length: 5 }, () => checkpointed.run(1))
    const checkpointedSeconds = medianInterval(blocks.map(({ seconds }) => seconds)).median
    checkpointed.dispose()

    const peerPeak = isCpu ? await measurePeerPeak(dtype) : devicePeak
    const figures: Figures = {
      ...ratioOf(ratios[0]!),
      tokens_per_second: Math.round(medianInterval(mine).median),
      peer_tokens_per_second: Math.round(medianInterval(theirs[0]!).median),
      ...(peers.length > 1 ? compiledFigures(ratios[1]!, theirs[1]!) : {}),
      matrix_product_share: rounded(stepFlops(shape) / plainSeconds / products.best),
      matrix_product_flops_per_second: Math.round(products.best),
      peak_bytes: peakBytes,
      peak_bytes_ratio: rounded(peakBytes / peerPeak),
      peak_bytes_ratio_checkpointed: rounded(
        Math.max(...blocks.map(({ peakBytes: bytes }) => bytes)) / peerPeak,
      ),
      checkpointed_step_time_ratio: rounded(checkpointedSeconds / plainSeconds),
      ...(sameAllocator === undefined
        ? {}
        : { tokens_per_second_ratio_same_allocator: rounded(sameAllocator) }),
    }
    console.log(
      `${dtype}: ratio ${figures.tokens_per_second_ratio} [${figures.tokens_per_second_ratio_interval.join(', ')}]${ofCompiled(figures)}, ${(100 * figures.matrix_product_share).toFixed(0)} % of the fastest matrix product, peak ${(peakBytes / 2 ** 20).toFixed(0)} of ${(peerPeak / 2 ** 20).toFixed(0)} MiB`,
    )
    return figures
  } finally {
    for (const peer of peers) await peer.quit()
  }
}

function ratioOf(
  ratios: readonly number[],
): Pick<Figures, 'tokens_per_second_ratio' | 'tokens_per_second_ratio_interval'> {
  const ratio = medianInterval(ratios)
  return {
    tokens_per_second_ratio: rounded(ratio.median),
    tokens_per_second_ratio_interval: [rounded(ratio.low), rounded(ratio.high)],
  }
}

function compiledFigures(ratios: readonly number[], speeds: readonly number[]) {
  const { tokens_per_second_ratio, tokens_per_second_ratio_interval } = ratioOf(ratios)
  return {
    tokens_per_second_ratio_compiled: tokens_per_second_ratio,
    tokens_per_second_ratio_compiled_interval: tokens_per_second_ratio_interval,
    peer_tokens_per_second_compiled: Math.round(medianInterval(speeds).median),
  }
}

const ofCompiled = (figures: Figures): string =>
  figures.tokens_per_second_ratio_compiled === undefined
    ? ''
    : `, compiled ${figures.tokens_per_second_ratio_compiled} [${figures.tokens_per_second_ratio_compiled_interval!.join(', ')}]`

setNumThreads(Number(args.threads))
const info = buildInfo()
console.log(
  `LibTorch ${info.libtorchVersion} (${info.libtorchKind}), ${args.threads} threads, ${isCpu ? info.cpuCapability : device}; ${args.preset}, ${shape.rows} x ${shape.length} tokens a step`,
)
const perBatch = shape.rows * (shape.length + 1)
const ids = randomTokens(numBatches * perBatch, shape.config.vocabSize, 1)
const batches = Array.from({ length: numBatches }, (_, i) =>
  toBatch(ids.subarray(i * perBatch, (i + 1) * perBatch), shape),
)
try {
  requirePeer()
  writeFileSync(join(folder, 'tokens.bin'), ids)
  const result: Record<string, Figures> = {}
  for (const dtype of args.dtypes.split(',') as DType[]) result[dtype] = await measure(dtype)
  console.log(JSON.stringify(result))
} catch (error) {
  console.error(`bench:peer: ${(error as Error).message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
