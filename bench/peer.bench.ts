/**
 * Tokens per second and peak tensor bytes of the product's training step against eager PyTorch of the same LibTorch
 * version, in interleaved blocks. The losses of both sides are compared before anything is timed.
 *
 *   npm run bench:peer -- [--blocks 20] [--steps 2] [--dtypes float32,bfloat16] [--threads 2]
 *     [--device cuda] [--compile] [--preset llama-120m] [--rows 32] [--length 1024] [--loss-chunk N]
 *
 * The last line of the output is one JSON object.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { LLAMA_PRESETS } from '@adapt-ts/adapt'
import {
  buildInfo,
  type DType,
  emptyCache,
  memoryStats,
  resetPeakMemoryStats,
  setNumThreads,
  synchronize,
} from '@adapt-ts/torch'
import { buildPeerAllocator } from './peer-allocator.js'
import { Peer, requirePeer } from './peer-process.js'
import { medianInterval, rounded } from './statistics.js'
import { type BenchShape, createRunner, randomTokens, toBatch, writeWeights } from './step-runner.js'

const { values: args } = parseArgs({
  options: {
    blocks: { type: 'string', default: '20' },
    steps: { type: 'string', default: '2' },
    dtypes: { type: 'string', default: 'float32,bfloat16' },
    threads: { type: 'string', default: '2' },
    device: { type: 'string', default: 'cpu' },
    preset: { type: 'string', default: 'llama-10m' },
    rows: { type: 'string', default: '16' },
    length: { type: 'string', default: '256' },
    compile: { type: 'boolean', default: false },
    'loss-chunk': { type: 'string' },
  },
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
  config: { ...LLAMA_PRESETS[args.preset as keyof typeof LLAMA_PRESETS], tieWordEmbeddings: false },
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
  readonly compiled?: Pick<
    Figures,
    'tokens_per_second_ratio' | 'tokens_per_second_ratio_interval' | 'peer_tokens_per_second'
  >
  readonly peak_bytes: number
  readonly peak_bytes_ratio: number
  readonly peak_bytes_ratio_checkpointed: number
  readonly checkpointed_step_time_ratio: number
  /** For information: against eager PyTorch that has our allocator too. */
  readonly tokens_per_second_ratio_same_allocator?: number
}

function peerArguments(dtype: DType): string[] {
  const { config } = shape
  const sizes = {
    layers: config.numHiddenLayers,
    hidden: config.hiddenSize,
    heads: config.numAttentionHeads,
    'kv-heads': config.numKeyValueHeads,
    ffn: config.intermediateSize,
    vocab: config.vocabSize,
  }
  return [
    ...Object.entries(sizes).flatMap(([name, size]) => [`--${name}`, String(size)]),
    ...['--device', device],
    ...[
      '--dtype',
      dtype,
      '--threads',
      args.threads,
      '--rows',
      String(shape.rows),
      '--length',
      String(shape.length),
    ],
    ...['--weights', join(folder, 'weights.safetensors'), '--data', join(folder, 'tokens.bin')],
  ]
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

function assertSameLosses(ours: readonly number[], theirs: readonly number[], dtype: DType): void {
  const tolerance = dtype === 'float32' ? 1e-4 : 2e-2
  const difference = Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]!) / theirs[i]!))
  console.log(
    `${dtype}: losses of the first ${ours.length} steps differ by ${difference.toExponential(1)} (limit ${tolerance})`,
  )
  if (!(difference <= tolerance)) {
    throw new Error(
      `the two sides do not train the same model: ${ours.join(', ')} against ${theirs.join(', ')}`,
    )
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
    peer.quit()
  }
}

/** Both sides in turn, peer after peer, after the losses of each were compared with ours. */
async function measure(dtype: DType): Promise<Figures> {
  const ours = stepper(dtype)
  writeWeights(ours.trainer.model, join(folder, 'weights.safetensors'))
  const peers = [new Peer(peerArguments(dtype))]
  if (args.compile) peers.push(new Peer([...peerArguments(dtype), '--compile']))
  try {
    const ourLosses = ours.run(numCheckSteps).losses
    for (const peer of peers) {
      const ready = await peer.read()
      console.log(
        `${dtype}: peer PyTorch ${ready.torch}, ${ready.optimizer} AdamW, ${ready.attention}${ready.compiled ? ', compiled' : ''}, ${ready.threads} threads`,
      )
      assertSameLosses(ourLosses, (await peer.run(numCheckSteps)).losses, dtype)
    }
    const mine: number[] = []
    const theirs = peers.map((): number[] => [])
    const ratios = peers.map((): number[] => [])
    let peakBytes = 0
    let devicePeak = 0
    for (let block = 0; block < numBlocks; block++) {
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
    for (const peer of peers) peer.quit()
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
      ...(args.compile ? { compiled: compiledFigures(ratios[1]!, theirs[1]!) } : {}),
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
      `${dtype}: ratio ${figures.tokens_per_second_ratio} [${figures.tokens_per_second_ratio_interval.join(', ')}], peak ${(peakBytes / 2 ** 20).toFixed(0)} of ${(peerPeak / 2 ** 20).toFixed(0)} MiB`,
    )
    return figures
  } finally {
    for (const peer of peers) peer.quit()
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

const compiledFigures = (
  ratios: readonly number[],
  speeds: readonly number[],
): NonNullable<Figures['compiled']> => ({
  ...ratioOf(ratios),
  peer_tokens_per_second: Math.round(medianInterval(speeds).median),
})

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
