import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ModelConfig } from '@adapt-ts/adapt'

export const benchFolder = join(dirname(fileURLToPath(import.meta.url)), '..')
const peerScript = join(benchFolder, 'python', 'peer.py')

export interface PeerBlock {
  readonly losses: readonly number[]
  readonly seconds: number
  readonly peak_tensor_bytes: number | null
}

/** The LibTorch of the add-on in use. */
export function currentBuild() {
  const folder = process.env.ADAPT_TORCH_BUILD_DIR || join(benchFolder, '..', 'packages', 'torch', 'build')
  return JSON.parse(readFileSync(join(folder, 'current.json'), 'utf8')) as {
    libtorch: { root: string; kind: string; version: string; includeDirs: string[]; libDir: string }
  }
}

/** The Python whose PyTorch is the LibTorch this build uses: ADAPT_PEER_PYTHON, else the one beside it. */
export function findPeerPython(): string {
  const chosen = process.env.ADAPT_PEER_PYTHON
  if (chosen) return chosen
  const build = currentBuild()
  // <environment>/lib/pythonX.Y/site-packages/torch -> <environment>/bin/python
  const environment = join(build.libtorch.root, '..', '..', '..', '..')
  const candidates =
    build.libtorch.kind === 'debian'
      ? ['/usr/bin/python3']
      : [join(environment, 'bin', 'python'), '/usr/bin/python3']
  return candidates.find((path) => existsSync(path)) ?? 'python3'
}

function hasTorch(python: string): boolean {
  return spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0
}

/**
 * Makes sure that the peer can run: Debian's Python gets PyTorch from the system's packages when we may install them.
 * @throws {Error} with the command that mends it.
 */
export function requirePeer(): void {
  const python = findPeerPython()
  if (hasTorch(python)) return
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', 'python3-torch']
  if (python === '/usr/bin/python3' && process.getuid?.() === 0) {
    console.log(`the peer needs PyTorch for Python: ${command.join(' ')}`)
    execFileSync(command[0]!, command.slice(1), { stdio: 'ignore' })
    if (hasTorch(python)) return
  }
  throw new Error(
    `${python} has no PyTorch: run \`${command.join(' ')}\`, or name another Python in ADAPT_PEER_PYTHON`,
  )
}

/** Same BLAS as ours, with the same kernels: Debian's Python would take the system's alternative, and miss what helps OpenBLAS on a new processor. */
export function peerEnvironment(): NodeJS.ProcessEnv {
  const { env } = process
  const blas = '/usr/lib/x86_64-linux-gnu/openblas-openmp'
  return existsSync(blas)
    ? { ...env, LD_LIBRARY_PATH: [blas, env.LD_LIBRARY_PATH].filter(Boolean).join(':') }
    : env
}

/** A program that trains block by block: it answers JSON lines with JSON lines. */
export class StepProcess<Block> {
  private readonly child: ChildProcess
  private readonly lines: AsyncIterator<string>

  /** @param name  Begins the messages of its errors. */
  constructor(
    private readonly name: string,
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = process.env,
  ) {
    this.child = spawn(command, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.lines = createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]()
    this.child.stdin!.on('error', () => {})
  }

  async read(): Promise<Record<string, unknown>> {
    const { value, done } = await this.lines.next()
    if (done) throw new Error(`${this.name} ended without an answer`)
    const parsed = JSON.parse(value) as Record<string, unknown>
    if (parsed.error) throw new Error(`${this.name}: ${String(parsed.error)}`)
    return parsed
  }

  run(steps: number): Promise<Block> {
    return this.ask({ steps })
  }

  async ask(question: object): Promise<Block> {
    this.child.stdin!.write(`${JSON.stringify(question)}\n`)
    return (await this.read()) as Block
  }

  /** Returns when it has ended: a process that ends still takes the processors from what is measured next. */
  async quit(): Promise<void> {
    this.child.stdin!.end(`${JSON.stringify({ quit: true })}\n`)
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit')
  }
}

/** Options of a peer's command line. */
export function peerOptions(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)])
}

/** A model's dimensions as the options of `python/peer.py`. */
export function peerSizes(config: ModelConfig) {
  return {
    layers: config.numHiddenLayers,
    hidden: config.hiddenSize,
    heads: config.numAttentionHeads,
    'kv-heads': config.numKeyValueHeads,
    ffn: config.intermediateSize,
    vocab: config.vocabSize,
  }
}

/** Eager PyTorch in a process of its own. */
export class Peer extends StepProcess<PeerBlock> {
  constructor(args: readonly string[]) {
    super('the peer', findPeerPython(), [peerScript, ...args], peerEnvironment())
  }
}
