import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { arch, availableParallelism, cpus, freemem, platform, release, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { BuildInfo } from '@adapt-ts/torch'
import { EXIT } from '../../errors.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import { wrapLines } from '../terminal/render-table.js'
import { type DeviceDiagnosis, deviceWarnings, diagnoseDevices, renderDevices } from './diagnose-devices.js'
import { blasProblem, mappedBlas } from './mapped-blas.js'

/** What `adapt doctor --json` prints. Bytes are bytes. */
export interface Diagnosis {
  readonly node: string
  readonly platform: string
  readonly cpu: { readonly model: string; readonly logicalCores: number }
  readonly memory: {
    readonly totalBytes: number
    readonly freeBytes: number
    readonly limitBytes: number | null
  }
  readonly packages: Readonly<Record<string, string>>
  readonly environment: Readonly<Record<string, string>>
  readonly engine: EngineDiagnosis
  /** Null when the engine cannot run. */
  readonly devices: DeviceDiagnosis | null
  readonly warnings: readonly string[]
}

export type EngineDiagnosis =
  | (BuildInfo & {
      readonly isReady: true
      /** BLAS libraries mapped into this process after a matrix product; null where that cannot be read. */
      readonly blas: readonly string[] | null
    })
  | { readonly isReady: false; readonly code: string; readonly problem: string }

const ENVIRONMENT_KEYS = [
  'OPENBLAS_CORETYPE',
  'OMP_NUM_THREADS',
  'OPENBLAS_NUM_THREADS',
  'MKL_NUM_THREADS',
  'ATEN_CPU_CAPABILITY',
  'ADAPT_NUM_THREADS',
  'LIBTORCH',
  'LIBTORCH_USE_PYTORCH',
  'CUDA_VISIBLE_DEVICES',
]

/** Looks at the machine, loads the engine and says what is wrong or slow. Never throws for a missing engine. */
export async function diagnose(env: CliIo['env'] = process.env): Promise<Diagnosis> {
  const environment: Record<string, string> = {}
  for (const key of ENVIRONMENT_KEYS) {
    const value = env[key]
    if (value !== undefined) environment[key] = value
  }
  const engine = await diagnoseEngine()
  const devices = engine.isReady ? await findDevices() : null
  return {
    node: process.versions.node,
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', logicalCores: availableParallelism() },
    memory: { totalBytes: totalmem(), freeBytes: freemem(), limitBytes: memoryLimit() },
    packages: packageVersions(),
    environment,
    engine,
    devices,
    warnings: [
      ...findWarnings(environment, engine, availableParallelism()),
      ...(devices === null ? [] : deviceWarnings(devices)),
    ],
  }
}

async function diagnoseEngine(): Promise<EngineDiagnosis> {
  try {
    const torch = await import('@adapt-ts/torch')
    const info = torch.buildInfo()
    // Some libraries are mapped only when the first product runs.
    torch.scope(() => {
      const a = torch.ones([64, 64])
      torch.matmul(a, a)
    })
    return { isReady: true, ...info, blas: readMappedBlas() }
  } catch (error) {
    const { code, message } = error as { readonly code?: unknown; readonly message?: unknown }
    return {
      isReady: false,
      code: typeof code === 'string' ? code : 'UNKNOWN',
      problem: typeof message === 'string' ? message.split('\n', 1)[0]! : String(error),
    }
  }
}

async function findDevices(): Promise<DeviceDiagnosis> {
  const { deviceFacts } = await import('../../open/index.js')
  return diagnoseDevices(deviceFacts())
}

function readMappedBlas(): readonly string[] | null {
  try {
    return mappedBlas(readFileSync('/proc/self/maps', 'utf8'))
  } catch {
    return null
  }
}

/** What slows training down or surprises, each with the way out. */
export function findWarnings(
  environment: Readonly<Record<string, string>>,
  engine: EngineDiagnosis,
  logicalCores: number,
): readonly string[] {
  const warnings: string[] = []
  const { OPENBLAS_CORETYPE, OMP_NUM_THREADS, ATEN_CPU_CAPABILITY } = environment
  if (OPENBLAS_CORETYPE !== undefined) {
    warnings.push(
      `OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE} fixes the kernels of OpenBLAS, often to slower ones; unset it`,
    )
  }
  if (OMP_NUM_THREADS === '1' && logicalCores > 1) {
    warnings.push(`OMP_NUM_THREADS=1 leaves ${logicalCores - 1} of ${logicalCores} cores idle; unset it`)
  }
  if (ATEN_CPU_CAPABILITY === 'default') {
    warnings.push('ATEN_CPU_CAPABILITY=default switches vector instructions off; unset it')
  }
  if (!engine.isReady) return warnings
  const blas = engine.blas === null ? undefined : blasProblem(engine.blas)
  if (blas !== undefined) warnings.push(blas)
  if (!engine.hasBf16) {
    warnings.push('no bfloat16 in this CPU; training.bf16: auto uses float32 on it')
  }
  return warnings
}

/** Memory limit of the control group, if it is set. */
function memoryLimit(): number | null {
  for (const path of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    try {
      const value = Number(readFileSync(path, 'utf8').trim())
      // Without a limit the first file says "max" and the second an absurdly large number.
      if (Number.isFinite(value) && value < totalmem()) return value
    } catch {
      // This version of control groups is not in use.
    }
  }
  return null
}

function packageVersions(): Readonly<Record<string, string>> {
  const versions: Record<string, string> = {}
  const own = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'package.json')
  const manifest = readManifest(own)
  versions[manifest?.name ?? '@adapt-ts/adapt'] = manifest?.version ?? 'unknown'
  const require = createRequire(own)
  for (const name of Object.keys(manifest?.dependencies ?? {})) {
    for (const folder of require.resolve.paths(name) ?? []) {
      const found = readManifest(join(folder, name, 'package.json'))
      if (found !== undefined) {
        versions[name] = found.version
        break
      }
    }
    versions[name] ??= 'missing'
  }
  return versions
}

interface Manifest {
  readonly name: string
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
}

function readManifest(path: string): Manifest | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Manifest
  } catch {
    return undefined
  }
}

/** `adapt doctor`; exit code 5 when the engine cannot run. */
export async function doctorCommand(options: { readonly json?: boolean }, io: CliIo): Promise<number> {
  const diagnosis = await diagnose(io.env)
  io.stdout.write(
    options.json === true ? `${renderJson(diagnosis)}\n` : wrapLines(renderDiagnosis(diagnosis), 20),
  )
  return diagnosis.engine.isReady ? EXIT.done : EXIT.resource
}

function describeProcessGroups({ processGroups, ncclMissing }: BuildInfo): string {
  if (processGroups.length === 0) return 'nothing: LibTorch without torch.distributed'
  const named = processGroups.map((name) => (name === 'nccl' ? 'nccl (not tested on GPUs)' : name))
  return `${named.join(', ')}${ncclMissing === undefined ? '' : `; no nccl: ${ncclMissing}`}`
}

/** The diagnosis as lines of `name  value`, warnings last. */
export function renderDiagnosis(diagnosis: Diagnosis): string {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  const { memory, engine } = diagnosis
  const limit = memory.limitBytes === null ? '' : `, limit ${gib(memory.limitBytes)}`
  const rows: [string, string][] = [
    ['node', diagnosis.node],
    ['platform', diagnosis.platform],
    ['cpu', `${diagnosis.cpu.model}, ${diagnosis.cpu.logicalCores} cores seen`],
    ['memory', `${gib(memory.totalBytes)}, ${gib(memory.freeBytes)} free${limit}`],
    ...Object.entries(diagnosis.packages),
    ...Object.entries(diagnosis.environment),
  ]
  if (engine.isReady) {
    const blas =
      engine.blas === null ? 'unknown' : engine.blas.join(', ') || 'none of its own (built into LibTorch)'
    rows.push(
      ['libtorch', `${engine.libtorchVersion} (${engine.libtorchKind}) in ${engine.libtorchRoot}`],
      ['add-on', engine.addonPath],
      ['blas', blas],
      ['threads', String(engine.numThreads)],
      ['kernels', `${engine.cpuCapability}; our own ${engine.kernels}`],
      ['bfloat16', engine.hasBf16 ? 'yes' : 'no'],
      ['ranks by', describeProcessGroups(engine)],
      ...(diagnosis.devices === null ? [] : renderDevices(diagnosis.devices)),
    )
  } else {
    rows.push(['engine', `NOT READY (${engine.code}): ${engine.problem}`])
  }
  const width = Math.max(...rows.map(([name]) => name.length))
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  return [...lines, ...diagnosis.warnings.map((warning) => `warning: ${warning}`), ''].join('\n')
}
