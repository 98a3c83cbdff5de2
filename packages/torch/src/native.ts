import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TorchError } from './errors.js'
import { helpOpenblas } from './openblas-kernels.js'

export interface ArgumentInfo {
  readonly name: string
  readonly kind: string
  readonly optional: boolean
  readonly hasDefault: boolean
  readonly keywordOnly: boolean
  /** A list of fixed length (`int[1]`), for which one number may stand. */
  readonly broadcast: boolean
}

export interface OperatorInfo {
  readonly id: number
  readonly arguments: readonly ArgumentInfo[]
  readonly aliasOfArgument: readonly number[]
  readonly schema: string
}

/** What LibTorch's CUDA and the NVIDIA driver say; versions are 1000 * major + 10 * minor, 0 for none. */
export interface CudaInfo {
  readonly libtorch: number
  readonly driver: number
  readonly installed: boolean
  readonly failure: string
  readonly devices: readonly {
    readonly name: string
    readonly totalBytes: number
    readonly computeMajor: number
    readonly computeMinor: number
    readonly multiProcessors: number
    /** Names the piece of hardware; empty where the driver does not say. */
    readonly uuid: string
  }[]
}

/** Counters of a caching allocator, the CPU's or a device's, and of tensor handles. */
export interface MemoryStats {
  /** Bytes of live tensors: on the CPU as asked for by LibTorch, on a device rounded as its allocator does. */
  readonly allocatedBytes: number
  /** Largest `allocatedBytes` since the start or the last `resetPeakMemoryStats`. */
  readonly peakBytes: number
  /** Bytes held from the system, cached blocks included. */
  readonly reservedBytes: number
  /** Allocations since the process started. */
  readonly numAllocations: number
  /** Tensor handles alive in this environment. */
  readonly liveTensors: number
}

/** The add-on's exports; see packages/torch/native. Handles are numbers, lists go through `buffer`. */
export interface Native {
  resolve(name: string, overload: string): OperatorInfo | undefined
  overloads(name: string): string[]
  hasKernel(name: string, overload: string, deviceType: number): boolean
  call(id: number, length: number, strings?: string[]): void
  buffer(length: number): Float64Array
  release(handle: number): void
  isLive(handle: number): boolean
  escape(handle: number): void
  beginScope(): number
  endScope(depth: number, numKept: number): void
  backward(numOutputs: number, numGradients: number, numInputs: number, retainGraph: boolean): void
  grad(
    numOutputs: number,
    numGradients: number,
    numInputs: number,
    retainGraph: boolean,
    allowUnused: boolean,
  ): number
  recomputeInBackward(handle: number, numReaders: number): void
  setRequiresGrad(handle: number, value: boolean): void
  getGrad(handle: number): number
  setGrad(handle: number, gradient: number): void
  setGradMode(enabled: boolean): boolean
  beginAutocast(deviceType: number, scalarType: number): void
  endAutocast(deviceType: number, scalarType: number, outerEnabled: boolean): void
  fromHost(
    array: ArrayBufferView,
    scalarType: number,
    numDims: number,
    deviceType: number,
    deviceIndex: number,
  ): number
  toHost(handle: number, array: ArrayBufferView): void
  item(handle: number): number
  meta(handle: number): void
  readFile(handle: number, fd: number, offset: number): void
  writeFile(handle: number, fd: number, offset: number): number
  onednnLinear(input: number, weight: number): number
  info(): {
    version: string
    numThreads: number
    hasCuda: boolean
    config: string
    kernels: string
    /** Number of the device type PrivateUse1. */
    privateUse1: number
  }
  setNumThreads(threads: number): void
  loadLibrary(path: string): void
  memoryStats(): MemoryStats
  resetPeak(): void
  emptyCache(): void
  deviceCount(deviceType: number): number
  synchronizeDevice(deviceType: number, deviceIndex: number): void
  deviceMemoryStats(deviceType: number, deviceIndex: number): MemoryStats
  resetDevicePeak(deviceType: number, deviceIndex: number): void
  emptyDeviceCache(deviceType: number, deviceIndex: number): void
  deviceBytes(deviceType: number, deviceIndex: number): { free: number; total: number }
  cudaInfo(): CudaInfo
  newGenerator(deviceType: number, deviceIndex: number): number
  seedGenerator(id: number, seed: number): void
  generatorState(id: number): number
  setGeneratorState(id: number, handle: number): void
  seedAll(seed: number): void
  setFlags(deterministic: boolean, tf32: boolean): void
  startRecording(): void
  /** `events` holds, for each: index into `names`, kind, thread, start and duration in microseconds. */
  stopRecording(): { names: string[]; events: Float64Array; thread: number; wallUs: number; dropped: number }
  beginRegion(name: string): number
  endRegion(index: number): void
  hasRecordCallbacks(): boolean
  watchStopSignal(signal: number): void
  stopSignal(): number
  unwatchStopSignals(): void
  // Of torch.distributed: all of it is absent where this LibTorch was built without.
  storeOpen(host: string, port: number, isServer: boolean, timeoutMs: number): number
  storePort(store: number): number
  storePrefix(store: number, prefix: string): number
  storeSet(store: number, key: string, text: string, limitMs: number): void
  storeGet(store: number, key: string, limitMs: number): string | undefined
  storeAdd(store: number, key: string, value: number, limitMs: number): number
  storeClose(store: number): void
  groupOpen(
    store: number,
    rank: number,
    worldSize: number,
    timeoutMs: number,
    host: string,
    interfaces: string,
  ): number
  /** @throws where the library of device groups does not load */
  deviceGroupsLoad(library: string): void
  deviceGroupOpen(
    library: string,
    store: number,
    rank: number,
    worldSize: number,
    deviceType: number,
    deviceIndex: number,
    timeoutMs: number,
  ): number
  /** -1 where it is not ready after so long. */
  deviceGroupReady(opening: number, limitMs: number): number
  groupSettle(group: number, limitMs: number): boolean
  groupAbort(group: number, limitMs: number): void
  groupClose(group: number): void
  exchange(group: number, sent: number, received: number): void
  gatherPieces(group: number, piece: number, all: number): void
  sumOverRanks(group: number, handle: number): void
  sumStacked(out: number, pieces: number): void
  broadcastFrom(group: number, handle: number, source: number): void
  allReduce(group: number, handle: number, reduction: 'sum' | 'max' | 'min'): void
  barrier(group: number): void
  bucketsNew(group: number, numParameters: number, numBuckets: number): number
  bucketsZero(id: number): void
  bucketsArm(id: number, scale: number): void
  bucketsReady(id: number, parameter: number): void
  /** Buckets that left in backward; -1 where a device is not done after so long. */
  bucketsFinish(id: number, limitMs: number): number
  /** Whether it is done after so long. */
  bucketsGather(id: number, limitMs: number): boolean
  bucketsClose(id: number, limitMs: number): boolean
}

/** What was built; `current.json`, written by setup/build-addon.mjs. */
export interface Build {
  /** The file to load. Absolute here, relative to the folder of builds in `current.json`. */
  readonly addon: string
  readonly libtorch: {
    readonly version: string
    readonly root: string
    readonly kind: string
    readonly libDir: string
    readonly cuda: boolean
  }
  /** Where LibTorch has CUDA: the library of NCCL's groups, as `addon`, or why it was not built. */
  readonly nccl?: { readonly library: string } | { readonly missing: string }
}

/** The way out of every problem with the add-on; the second command is for a clone of the repository. */
const HOW_TO_BUILD = 'run `npx adapt-torch-build` (in a clone: `npm run setup`)'

function readBuild(): Build {
  const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..')
  const folder = resolve(process.env.ADAPT_TORCH_BUILD_DIR || join(packageRoot, 'build'))
  const path = join(folder, 'current.json')
  if (!existsSync(path)) {
    throw new TorchError('ADDON_NOT_BUILT', `add-on not built: ${HOW_TO_BUILD}`, { path })
  }
  const build = JSON.parse(readFileSync(path, 'utf8')) as Build
  const { nccl } = build
  return {
    ...build,
    addon: resolve(folder, build.addon),
    ...(nccl && 'library' in nccl ? { nccl: { library: resolve(folder, nccl.library) } } : {}),
  }
}

/** The LibTorch that the add-on was built for, from the record of the build: loads nothing. @throws {TorchError} ADDON_NOT_BUILT */
export function builtLibTorch(): Build['libtorch'] {
  return readBuild().libtorch
}

/** Physical cores: two hyper-threads share one floating-point unit. Falls back to what Node sees. */
function physicalCores(): number {
  const logical = availableParallelism()
  try {
    const root = '/sys/devices/system/cpu'
    const cores = new Set<string>()
    for (const cpu of readdirSync(root).filter((name) => /^cpu\d+$/.test(name))) {
      const topology = join(root, cpu, 'topology')
      const read = (file: string) => readFileSync(join(topology, file), 'utf8').trim()
      cores.add(`${read('physical_package_id')}:${read('core_id')}`)
    }
    return Math.max(1, Math.min(logical, cores.size || logical))
  } catch {
    return logical
  }
}

/** What every call to LibTorch goes through. */
interface Engine {
  readonly native: Native
  readonly build: Build
  /** Arguments and results of calls. */
  readonly buffer: Float64Array
  /** LibTorch's numbers of the device types that have a name here. */
  readonly deviceTypes: ReadonlyMap<string, number>
  /** Libraries that open groups of ranks on devices of a type, or why there is none. */
  readonly deviceGroups: ReadonlyMap<string, string | { readonly missing: string }>
}

let loaded: Engine | undefined

/** Doubles in the argument buffer: room for tensor lists of models with thousands of parameters. */
const BUFFER_LENGTH = 1 << 16

function load(): Engine {
  const build = readBuild()
  let native: Native
  helpOpenblas()
  try {
    native = createRequire(import.meta.url)(build.addon) as Native
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error)
    throw new TorchError(
      'LIBTORCH_NOT_FOUND',
      `the native add-on does not load (${reason}): ${HOW_TO_BUILD}`,
      { addon: build.addon },
    )
  }
  const library = join(build.libtorch.libDir, 'libtorch_cuda.so')
  if (build.libtorch.cuda && existsSync(library)) native.loadLibrary(library)
  const deviceTypes = new Map([
    ['cpu', 0],
    ['cuda', 1],
    ['mps', 13],
  ])
  // A device without hardware, where a test named its library: packages/torch/testing-device.
  const testing = process.env.ADAPT_TORCH_TESTING_DEVICE
  const deviceGroups = new Map<string, string | { readonly missing: string }>()
  if (build.nccl) deviceGroups.set('cuda', 'library' in build.nccl ? build.nccl.library : build.nccl)
  if (testing) {
    native.loadLibrary(testing)
    deviceTypes.set('privateuseone', native.info().privateUse1)
    deviceGroups.set('privateuseone', testing)
  }
  const wanted = Number(process.env.ADAPT_NUM_THREADS ?? '')
  native.setNumThreads(Number.isInteger(wanted) && wanted > 0 ? wanted : physicalCores())
  return { native, build, buffer: native.buffer(BUFFER_LENGTH), deviceTypes, deviceGroups }
}

/** The add-on, loaded on first use (Debian's LibTorch takes about two seconds). */
export function engine(): Engine {
  loaded ??= load()
  return loaded
}
