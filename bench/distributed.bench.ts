/**
 * Data parallelism: the product's step on two processes of one thread each against PyTorch's DistributedDataParallel over Gloo, in interleaved
 * blocks, with the same weights and data; and both against themselves on one process with half the rows.
 *
 *   npm run bench:distributed -- [--blocks 12] [--steps 4] [--rows 8] [--length 256] [--preset llama-10m] [--no-network]
 *
 * Where it may make network namespaces (root, iproute2) the ranks then run in two of them, with links of 1 Gbit/s and 200 Mbit/s. The last
 * line of the output is one JSON object.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildInfo } from '@adapt-ts/torch'
import { canMakeNamespaces, LinkedHosts } from './linked-hosts.js'
import { modelShape } from './model-shapes.js'
import {
  benchFolder,
  findPeerPython,
  peerEnvironment,
  peerOptions,
  peerSizes,
  requirePeer,
  StepProcess,
} from './peer-process.js'
import type { RankBlock, RankOptions } from './rank-process.js'
import { readOptions } from './read-options.js'
import { medianInterval, rounded } from './statistics.js'
import { randomTokens } from './step-runner.js'

const args = readOptions(import.meta.url, {
  blocks: { type: 'string', default: '12' },
  steps: { type: 'string', default: '4' },
  rows: { type: 'string', default: '8' },
  length: { type: 'string', default: '256' },
  preset: { type: 'string', default: 'llama-10m' },
  network: { type: 'boolean', default: true },
})
delete process.env.OPENBLAS_CORETYPE

const [numBlocks, stepsPerBlock] = [Number(args.blocks), Number(args.steps)]
const [rows, length] = [Number(args.rows), Number(args.length)]
const { preset } = args
const config = modelShape(preset)
const folder = mkdtempSync(join(tmpdir(), 'adapt-ranks-'))
const [data, weights] = [join(folder, 'tokens.bin'), join(folder, 'weights.safetensors')]
const NUM_RANKS = 2

type Side = 'ours' | 'late' | 'peer'
/** What the slowest rank took, what all of them used, and what the first one said. */
type JobBlock = Pick<
  RankBlock,
  'losses' | 'seconds' | 'cpu_seconds' | 'wait_ms' | 'bytes_sent' | 'optimizer_bytes'
>

/** All ranks of one job, which run blocks together. */
class Job {
  private constructor(private readonly ranks: readonly StepProcess<JobBlock>[]) {}

  /** @param hosts  One for every rank; without them all run on this machine. */
  static async start(side: Side, worldSize: number, hosts?: LinkedHosts): Promise<Job> {
    const port = await freePort()
    const ranks = Array.from({ length: worldSize }, (_, rank) => {
      const job = worldSize === 1 ? {} : { RANK: rank, LOCAL_RANK: hosts ? 0 : rank, WORLD_SIZE: worldSize }
      const address = hosts
        ? { MASTER_ADDR: hosts.address, GLOO_SOCKET_IFNAME: hosts.interfaceOf(rank) }
        : { MASTER_ADDR: '127.0.0.1' }
      const own = Object.fromEntries(
        Object.entries({ ...job, ...address, MASTER_PORT: port, OMP_NUM_THREADS: 1 }).map(([name, value]) => [
          name,
          String(value),
        ]),
      )
      const [command, ...rest] = [...(hosts?.prefixOf(rank) ?? []), ...commandOf(side)] as [
        string,
        ...string[],
      ]
      return new StepProcess<JobBlock>(`${side} rank ${rank}`, command, rest, {
        ...(side === 'peer' ? peerEnvironment() : process.env),
        ...own,
      })
    })
    for (const rank of ranks) await rank.read()
    return new Job(ranks)
  }

  async run(steps: number): Promise<JobBlock> {
    const blocks = await Promise.all(this.ranks.map((rank) => rank.run(steps)))
    const [first] = blocks as [JobBlock]
    return {
      ...first,
      // The product's loss is that of all ranks; the peer's is its own.
      losses: first.losses.map(
        (_, i) => blocks.reduce((total, { losses }) => total + losses[i]!, 0) / blocks.length,
      ),
      seconds: Math.max(...blocks.map(({ seconds }) => seconds)),
      cpu_seconds: blocks.reduce((total, block) => total + block.cpu_seconds, 0),
      wait_ms: Math.max(...blocks.map(({ wait_ms }) => wait_ms)),
    }
  }

  async quit(): Promise<void> {
    await Promise.all(this.ranks.map((rank) => rank.quit()))
  }
}

function commandOf(side: Side): string[] {
  if (side === 'peer') {
    const values = { ...peerSizes(config), ...{ rows, length, threads: 1, weights, data } }
    return [findPeerPython(), join(benchFolder, 'python', 'ddp_peer.py'), ...peerOptions(values)]
  }
  const options: RankOptions = {
    ...{ preset, rows, length, threads: 1, data, weights },
    withoutOverlap: side === 'late',
  }
  return [process.execPath, join(benchFolder, 'dist', 'rank-process.js'), JSON.stringify(options)]
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { readonly port: number }
      server.close(() => resolve(port))
    })
  })
}

function assertSameLosses(name: string, ours: readonly number[], theirs: readonly number[]): void {
  const difference = Math.max(...ours.map((loss, i) => Math.abs(loss - theirs[i]!) / theirs[i]!))
  console.log(
    `${name}: losses of the first ${ours.length} steps differ by ${difference.toExponential(1)} (limit 1e-4)`,
  )
  if (!(difference <= 1e-4))
    throw new Error(
      `${name}: the sides do not train the same model: ${ours.join(', ')} against ${theirs.join(', ')}`,
    )
}

const median = (values: readonly number[]) => medianInterval(values).median
const perStep = (blocks: readonly JobBlock[], of: (block: JobBlock) => number) =>
  median(blocks.map(of)) / stepsPerBlock
const ms = (seconds: number) => `${(1000 * seconds).toFixed(0)} ms`

/** Jobs in turn, each alone on the machine while it works. */
async function interleave<Name extends string>(
  jobs: Readonly<Record<Name, Job>>,
  blocks: number,
): Promise<Record<Name, JobBlock[]>> {
  const names = Object.keys(jobs) as Name[]
  const found = Object.fromEntries(names.map((name) => [name, [] as JobBlock[]])) as Record<Name, JobBlock[]>
  for (let block = 0; block < blocks; block++) {
    // The order alternates, so that none always follows another's heat.
    for (const name of block % 2 === 0 ? names : names.toReversed())
      found[name].push(await jobs[name].run(stepsPerBlock))
    console.log(
      `block ${block + 1}/${blocks}: ${names.map((name) => `${name} ${ms(found[name].at(-1)!.seconds / stepsPerBlock)}`).join(', ')} a step`,
    )
  }
  return found
}

async function onThisMachine() {
  const jobs = {
    ours: await Job.start('ours', NUM_RANKS),
    peer: await Job.start('peer', NUM_RANKS),
    ours_alone: await Job.start('ours', 1),
    peer_alone: await Job.start('peer', 1),
  }
  try {
    const first = {
      ours: await jobs.ours.run(3),
      peer: await jobs.peer.run(3),
      ours_alone: await jobs.ours_alone.run(3),
      peer_alone: await jobs.peer_alone.run(3),
    }
    assertSameLosses(`${NUM_RANKS} ranks`, first.ours.losses, first.peer.losses)
    assertSameLosses('1 rank', first.ours_alone.losses, first.peer_alone.losses)
    const found = await interleave(jobs, numBlocks)
    const ratios = medianInterval(found.ours.map(({ seconds }, i) => found.peer[i]!.seconds / seconds))
    const scaling = (many: JobBlock[], one: JobBlock[], of: (block: JobBlock) => number) =>
      rounded(median(many.map((block, i) => of(one[i]!) / of(block))))
    const cpu = ({ cpu_seconds }: JobBlock) => cpu_seconds
    const wall = ({ seconds }: JobBlock) => seconds
    const parameters = (first.ours_alone.optimizer_bytes ?? 0) / 8
    return {
      tokens_per_second_ratio: rounded(ratios.median),
      tokens_per_second_ratio_interval: [rounded(ratios.low), rounded(ratios.high)],
      weak_scaling: scaling(found.ours, found.ours_alone, wall),
      peer_weak_scaling: scaling(found.peer, found.peer_alone, wall),
      // CPU time of one process against that of each of two.
      weak_scaling_cpu: rounded(NUM_RANKS * scaling(found.ours, found.ours_alone, cpu)),
      peer_weak_scaling_cpu: rounded(NUM_RANKS * scaling(found.peer, found.peer_alone, cpu)),
      optimizer_bytes_ratio: rounded(first.ours.optimizer_bytes / first.ours_alone.optimizer_bytes),
      // Sums of pieces to their ranks, and updated pieces to all: (N - 1) / N of the gradients each.
      bytes_sent_ratio: rounded(
        perStep(found.ours, ({ bytes_sent }) => bytes_sent) /
          ((2 * 4 * parameters * (NUM_RANKS - 1)) / NUM_RANKS),
        5,
      ),
      step_ms: rounded(1000 * perStep(found.ours, wall), 1),
      peer_step_ms: rounded(1000 * perStep(found.peer, wall), 1),
      wait_ms: rounded(
        perStep(found.ours, ({ wait_ms }) => wait_ms),
        1,
      ),
    }
  } finally {
    await Promise.all(Object.values(jobs).map((job) => job.quit()))
  }
}

/** One rank on each of two hosts that a link of this speed joins. */
async function overLink(name: string, rate: string) {
  using hosts = new LinkedHosts(rate)
  const jobs = {
    ours: await Job.start('ours', NUM_RANKS, hosts),
    without_overlap: await Job.start('late', NUM_RANKS, hosts),
    peer: await Job.start('peer', NUM_RANKS, hosts),
  }
  try {
    const first = await jobs.ours.run(3)
    assertSameLosses(name, first.losses, (await jobs.peer.run(3)).losses)
    await jobs.without_overlap.run(3)
    const sent = hosts.bytesSent()
    const counted = await jobs.ours.run(stepsPerBlock)
    const onWire = hosts.bytesSent() - sent
    const found = await interleave(jobs, Math.max(3, Math.ceil(numBlocks / 2)))
    const wait = perStep(found.ours, ({ wait_ms }) => wait_ms)
    const waitWithout = perStep(found.without_overlap, ({ wait_ms }) => wait_ms)
    const wall = ({ seconds }: JobBlock) => seconds
    return {
      [`exposed_wait_ratio_${name}`]: rounded(wait / waitWithout),
      [`exposed_wait_ms_${name}`]: rounded(wait, 1),
      [`tokens_per_second_ratio_${name}`]: rounded(
        median(found.ours.map(({ seconds }, i) => found.peer[i]!.seconds / seconds)),
      ),
      [`step_ms_${name}`]: {
        ours: rounded(1000 * perStep(found.ours, wall), 1),
        without_overlap: rounded(1000 * perStep(found.without_overlap, wall), 1),
        peer: rounded(1000 * perStep(found.peer, wall), 1),
      },
      // Headers of the network are some percent.
      [`wire_bytes_ratio_${name}`]: rounded(onWire / counted.bytes_sent),
    }
  } finally {
    await Promise.all(Object.values(jobs).map((job) => job.quit()))
  }
}

try {
  requirePeer()
  const { libtorchVersion, libtorchKind, cpuCapability } = buildInfo()
  console.log(
    `LibTorch ${libtorchVersion} (${libtorchKind}), ${cpuCapability}; ${NUM_RANKS} ranks of 1 thread, ${preset}, ${rows} x ${length} tokens a rank and step`,
  )
  writeFileSync(data, randomTokens(8 * NUM_RANKS * rows * (length + 1), config.vocabSize, 1))
  let figures: Record<string, unknown> = await onThisMachine()
  const why = args.network ? canMakeNamespaces() : 'left out'
  if (why === undefined)
    figures = { ...figures, ...(await overLink('1gbit', '1gbit')), ...(await overLink('200mbit', '200mbit')) }
  else console.log(`no network namespaces: ${why}`)
  console.log(JSON.stringify(figures))
} catch (error) {
  console.error(`bench:distributed: ${(error as Error).message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
