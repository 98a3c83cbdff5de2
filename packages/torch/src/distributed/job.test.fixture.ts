/** Jobs of real processes for tests: the side that starts them and the side of a rank. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { distributed } from '../index.js'

/** What a rank sends: its report, or a failure with the milliseconds that it took to be known. */
export interface RankMessage<Report> {
  readonly report?: Report
  readonly failure?: { name: string; code: string; message: string; rank: number | undefined; ms: number }
  readonly failedAgain?: boolean
}

interface RankEnd<Report> extends RankMessage<Report> {
  readonly exitCode: number | null
  readonly stderr: string
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function endOf<Report>(child: ChildProcess): Promise<RankEnd<Report>> {
  let message: RankMessage<Report> = {}
  let stderr = ''
  child.on('message', (received) => {
    message = received as RankMessage<Report>
  })
  child.stderr!.on('data', (text) => {
    stderr += String(text)
  })
  const [exitCode] = (await once(child, 'close')) as [number | null]
  return { ...message, exitCode, stderr }
}

/** Runs a task of a compiled file on so many ranks; `killed` is one that never ends by itself. */
export async function runJob<Report>(
  file: URL,
  task: string,
  { worldSize = 2, timeoutMs = 60_000, joinTimeoutMs = 60_000, killed = -1, env = (_: number) => ({}) } = {},
): Promise<RankEnd<Report>[]> {
  const port = await freePort()
  const children = Array.from({ length: worldSize }, (_, rank) =>
    fork(fileURLToPath(file), [task], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      env: {
        ...process.env,
        ...{ RANK: String(rank), WORLD_SIZE: String(worldSize), LOCAL_RANK: String(rank) },
        ...{ MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(port), TEST_TIMEOUT_MS: String(timeoutMs) },
        ...{ TEST_JOIN_TIMEOUT_MS: String(joinTimeoutMs) },
        ...env(rank),
      },
    }),
  )
  const ends = children.map((child) => endOf<Report>(child))
  const others = await Promise.all(ends.filter((_, rank) => rank !== killed))
  if (killed < 0) return others
  children[killed]!.kill('SIGKILL')
  await ends[killed]
  return others
}

function send(message: RankMessage<unknown>): Promise<void> {
  return new Promise((resolve) => process.send!(message, undefined, undefined, () => resolve()))
}

/** Joins the job that the environment describes, does what the command line names, and sends what came of it. */
export async function runAsRank(
  tasks: Readonly<Record<string, (group: distributed.ProcessGroup) => unknown>>,
): Promise<void> {
  let startMs = performance.now()
  let group: distributed.ProcessGroup | undefined
  try {
    const launch = distributed.readLaunch(process.env)!
    group = await distributed.joinProcessGroup({
      launch,
      timeoutMs: Number(process.env.TEST_TIMEOUT_MS),
      joinTimeoutMs: Number(process.env.TEST_JOIN_TIMEOUT_MS),
      backend: (process.env.TEST_BACKEND ?? 'auto') as distributed.Backend,
    })
    startMs = performance.now()
    await send({ report: await tasks[process.argv[2]!]!(group) })
    await group.leave()
  } catch (error) {
    const ms = performance.now() - startMs
    if (!(error instanceof distributed.PeerError)) throw error
    const { name, code, message, rank } = error
    let failedAgain = false
    try {
      group?.barrier()
    } catch (again) {
      failedAgain = again === error
    }
    await send({ failure: { name, code, message, rank, ms }, failedAgain })
    process.exit(6)
  }
}
