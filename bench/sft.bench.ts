/**
 * Instruction tuning with LoRA, the product's step against TRL's SFTTrainer with PEFT on the same LibTorch version:
 * non-padding tokens per second without and with gradient checkpointing, in interleaved blocks, and peak resident
 * memory. First the losses and the adapter's gradients of both sides are compared.
 *
 *   npm run bench:sft -- [--blocks 8] [--steps 2] [--dtypes bfloat16,float32] [--threads 2] [--quick]
 *     [--equal-lengths] [--length N] [--rows 8] [--device cuda] [--model 32m|1b|7b] [--peer trl|peft]
 *
 * The first dtype gives the figures at the top of the JSON object, which is the last line of the output.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ModelDType } from '@adapt-ts/adapt'
import { buildInfo, mul, SafetensorsFile, scope, sub, sum } from '@adapt-ts/torch'
import { benchFolder, findPeerPython, peerEnvironment, StepProcess } from './peer-process.js'
import { readOptions } from './read-options.js'
import { type SftRow, type SftShape, writeSftCase } from './sft-case.js'
import type { SftBlock } from './sft-process.js'
import { medianInterval, rounded } from './statistics.js'

const args = readOptions(import.meta.url, {
  blocks: { type: 'string', default: '8' },
  steps: { type: 'string', default: '2' },
  dtypes: { type: 'string' },
  threads: { type: 'string', default: '2' },
  quick: { type: 'boolean', default: false },
  'equal-lengths': { type: 'boolean', default: false },
  length: { type: 'string' },
  rows: { type: 'string', default: '8' },
  device: { type: 'string', default: 'cpu' },
  model: { type: 'string', default: '32m' },
  peer: { type: 'string', default: 'trl' },
})
delete process.env.OPENBLAS_CORETYPE

const info = buildInfo()
// What SFTConfig does by itself, bf16, is the setting of users wherever the hardware multiplies bf16.
const dtypes = (args.dtypes ?? (info.hasBf16 ? 'bfloat16,float32' : 'float32,bfloat16')).split(',')
const numBlocks = args.quick ? 2 : Number(args.blocks)
const stepsPerBlock = args.quick ? 1 : Number(args.steps)
const numCheckSteps = 3
const equalLengths = args['equal-lengths']
const shape: SftShape = {
  rows: Number(args.rows),
  batches: 16,
  length: Number(args.length ?? (equalLengths ? 256 : 448)),
  equalLengths,
  model: args.model,
  device: args.device,
}
const onDevice = shape.device !== 'cpu'
/** What they need, and their program. */
const PEERS = {
  trl: ['trl, peft and transformers', 'sft_peer.py'],
  peft: ['peft and transformers', 'peft_peer.py'],
} as const
/** Largest relative difference of losses, gradient norms and of all the adapter's gradients as one vector. */
const LIMITS = {
  float32: { loss: 1e-4, norm: 1e-3, gradient: 1e-3 },
  bfloat16: { loss: 1e-3, norm: 2e-2, gradient: 5e-2 },
} as const
const folder = mkdtempSync(join(tmpdir(), 'adapt-bench-sft-'))

interface Figures {
  readonly tokens_per_second_ratio: number
  readonly tokens_per_second_ratio_interval: readonly [number, number]
  readonly cpu_seconds_ratio: number
  readonly tokens_per_second: number
  readonly peer_tokens_per_second: number
  /** Of memory that is resident, or of the device's tensors. */
  readonly peak_ratio: number
  readonly peak_mib: number
  readonly peer_peak_mib: number
}

function difference(ours: readonly number[], theirs: readonly number[]): number {
  return Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!) / Math.abs(theirs[i]!)))
}

/** |ours - theirs| / |theirs| over all tensors of two safetensors files. */
function gradientDifference(ours: string, theirs: string): number {
  using mine = new SafetensorsFile(ours)
  using peers = new SafetensorsFile(theirs)
  if ([...mine.names].sort().join() !== [...peers.names].sort().join())
    throw new Error('the two sides do not train the same tensors')
  let squares = 0
  let peerSquares = 0
  for (const name of mine.names) {
    scope(() => {
      const apart = sub(mine.read(name), peers.read(name))
      squares += sum(mul(apart, apart)).item()
      peerSquares += sum(mul(peers.read(name), peers.read(name))).item()
    })
  }
  return Math.sqrt(squares / peerSquares)
}

function assertWithin(what: string, value: number, limit: number): void {
  console.log(`  ${what} differ by ${value.toExponential(1)} (limit ${limit})`)
  if (!(value <= limit)) throw new Error(`the two sides do not do the same work: ${what} differ by ${value}`)
}

/** Non-padding tokens of `steps` steps that follow `first` steps. */
function countTokens(rows: readonly SftRow[], first: number, steps: number): number {
  let count = 0
  for (let i = first * shape.rows; i < (first + steps) * shape.rows; i++)
    count += rows[i % rows.length]!.input_ids.length
  return count
}

async function measure(
  dtype: ModelDType,
  { rows, options }: Awaited<ReturnType<typeof writeSftCase>>,
  gradientCheckpointing: boolean,
): Promise<Figures> {
  const name = `${dtype}${gradientCheckpointing ? ' checkpointed' : ''}`
  const paths = { ours: join(folder, 'gradients.safetensors'), peer: join(folder, 'peer.safetensors') }
  const argument = (gradients: string) =>
    JSON.stringify({
      ...options,
      gradients,
      threads: Number(args.threads),
      gradient_checkpointing: gradientCheckpointing,
    })
  const script = fileURLToPath(new URL('./sft-process.js', import.meta.url))
  const ours = new StepProcess<SftBlock>('our side', process.execPath, [script, argument(paths.ours)])
  const [needs, peerFile] = PEERS[args.peer as keyof typeof PEERS]
  const peerScript = join(benchFolder, 'python', peerFile)
  const peer = new StepProcess<SftBlock>(
    `the peer (it needs ${needs} beside torch; ADAPT_PEER_PYTHON names a Python)`,
    findPeerPython(),
    [peerScript, argument(paths.peer)],
    peerEnvironment(),
  )
  try {
    const [mine, theirs] = [await ours.read(), await peer.read()]
    console.log(
      `${name}: ${mine.trained_parameters} of ${mine.parameters} parameters trained, ${String(mine.dtypes)}; peer PyTorch ${theirs.torch}, ${theirs.trl ? `TRL ${theirs.trl}` : 'its own loop'}, PEFT ${theirs.peft}, transformers ${theirs.transformers}: ${String(theirs.dtypes)}, ${theirs.loss}, ${theirs.attention}, ${theirs.optimizer}`,
    )
    if (mine.trained_parameters !== theirs.trained_parameters || mine.parameters !== theirs.parameters)
      throw new Error(`the peer trains ${theirs.trained_parameters} of ${theirs.parameters} parameters`)
    const [check, peerCheck] = [await ours.run(numCheckSteps), await peer.run(numCheckSteps)]
    const limits = LIMITS[dtype]
    assertWithin(`losses of ${numCheckSteps} steps`, difference(check.losses, peerCheck.losses), limits.loss)
    assertWithin('gradient norms', difference(check.grad_norms, peerCheck.grad_norms), limits.norm)
    assertWithin("the first step's gradients", gradientDifference(paths.ours, paths.peer), limits.gradient)

    const speeds: number[] = []
    const peerSpeeds: number[] = []
    const ratios: number[] = []
    const cpuRatios: number[] = []
    let peak = 0
    let peerPeak = 0
    for (let block = 0; block < numBlocks; block++) {
      const tokens = countTokens(rows, numCheckSteps + block * stepsPerBlock, stepsPerBlock)
      // The order alternates, so that neither side always follows the other's heat.
      const first = block % 2 === 0 ? await ours.run(stepsPerBlock) : undefined
      const their = await peer.run(stepsPerBlock)
      const our = first ?? (await ours.run(stepsPerBlock))
      speeds.push(tokens / our.seconds)
      peerSpeeds.push(tokens / their.seconds)
      ratios.push(their.seconds / our.seconds)
      cpuRatios.push(their.cpu_seconds / our.cpu_seconds)
      const key = onDevice ? 'peak_device_bytes' : 'peak_resident_bytes'
      peak = our[key]
      peerPeak = their[key]
      console.log(
        `  block ${block + 1}/${numBlocks}: ${tokens} tokens, ${speeds.at(-1)!.toFixed(0)} tok/s, peer ${peerSpeeds.at(-1)!.toFixed(0)} tok/s, ratio ${ratios.at(-1)!.toFixed(3)}`,
      )
    }
    const ratio = medianInterval(ratios)
    const figures: Figures = {
      tokens_per_second_ratio: rounded(ratio.median),
      tokens_per_second_ratio_interval: [rounded(ratio.low), rounded(ratio.high)],
      cpu_seconds_ratio: rounded(medianInterval(cpuRatios).median),
      tokens_per_second: Math.round(medianInterval(speeds).median),
      peer_tokens_per_second: Math.round(medianInterval(peerSpeeds).median),
      peak_ratio: rounded(peak / peerPeak),
      peak_mib: Math.round(peak / 2 ** 20),
      peer_peak_mib: Math.round(peerPeak / 2 ** 20),
    }
    console.log(
      `${name}: ratio ${figures.tokens_per_second_ratio} [${figures.tokens_per_second_ratio_interval.join(', ')}], peak ${onDevice ? 'of the device' : 'resident'} ${figures.peak_mib} of ${figures.peer_peak_mib} MiB`,
    )
    return figures
  } finally {
    await ours.quit()
    await peer.quit()
  }
}

const where = onDevice
  ? shape.device
  : `${args.threads} threads, ${info.cpuCapability}${info.hasBf16 ? ' with bf16' : ''}`
const lengths = equalLengths
  ? `of ${shape.length} tokens a step`
  : `of 64 to ${shape.length} tokens a step, padded to the longest of the batch`
console.log(
  `LibTorch ${info.libtorchVersion} (${info.libtorchKind}), ${where}; ${shape.model}, LoRA r 16 on q, k, v, o; ${shape.rows} rows ${lengths}`,
)
if (!Object.hasOwn(PEERS, args.peer)) throw new Error(`--peer: expected trl or peft, received ${args.peer}`)
try {
  const byDtype: Record<string, { plain: Figures; checkpointed: Figures }> = {}
  for (const dtype of (args.quick ? dtypes.slice(0, 1) : dtypes) as ModelDType[]) {
    const files = await writeSftCase(join(folder, dtype), dtype, shape)
    byDtype[dtype] = {
      plain: await measure(dtype, files, false),
      checkpointed: await measure(dtype, files, true),
    }
  }
  const { plain, checkpointed } = byDtype[dtypes[0]!]!
  console.log(
    JSON.stringify({
      tokens_per_second_ratio: plain.tokens_per_second_ratio,
      tokens_per_second_ratio_checkpointed: checkpointed.tokens_per_second_ratio,
      peak_ratio: Math.max(plain.peak_ratio, checkpointed.peak_ratio),
      dtype: dtypes[0],
      ...byDtype,
    }),
  )
} catch (error) {
  console.error(`bench:sft: ${(error as Error).message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
