import { type DeviceFacts, HOW_TO_SWITCH, multipliesBf16 } from '../../open/index.js'

/** What `adapt doctor` says of devices that are not the CPU. Bytes are bytes. */
export interface DeviceDiagnosis {
  readonly libtorchVersion: string
  readonly libtorchHasCuda: boolean
  /** CUDA that LibTorch was built for; null without. */
  readonly libtorchCuda: string | null
  /** Newest CUDA that the driver serves; null without a driver. */
  readonly driverCuda: string | null
  /** Why the driver cannot be used. */
  readonly driverFailure: string | null
  /** Whether the system shows a GPU of NVIDIA. */
  readonly hasNvidia: boolean
  /** CUDA_VISIBLE_DEVICES. */
  readonly visible: string | null
  /** Devices that LibTorch can use. */
  readonly numUsable: number
  /** Those that the driver shows, `cuda:0` first. */
  readonly cuda: readonly {
    readonly name: string
    readonly totalBytes: number
    readonly freeBytes: number | null
    readonly computeCapability: readonly [number, number]
    readonly multiProcessors: number
  }[]
}

/** Puts facts into the form that is printed. */
export function diagnoseDevices(facts: DeviceFacts): DeviceDiagnosis {
  const { libtorch, driver, driverFailure } = facts.cudaVersions()
  return {
    libtorchVersion: facts.libtorch.version,
    libtorchHasCuda: facts.libtorch.hasCuda,
    libtorchCuda: libtorch ?? null,
    driverCuda: driver ?? null,
    driverFailure: driverFailure ?? null,
    hasNvidia: facts.hasNvidia,
    visible: facts.visible ?? null,
    numUsable: facts.libtorch.hasCuda ? facts.deviceCount() : 0,
    cuda: facts.cudaDevices().map(({ name, totalMemory, computeCapability, multiProcessorCount }, index) => ({
      name,
      totalBytes: totalMemory,
      freeBytes: facts.deviceMemory(index)?.free ?? null,
      computeCapability,
      multiProcessors: multiProcessorCount,
    })),
  }
}

/** Rows of `name  value`. */
export function renderDevices(found: DeviceDiagnosis): readonly [string, string][] {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
  const ours = found.libtorchHasCuda
    ? `LibTorch ${found.libtorchCuda ?? 'of an unknown version'}`
    : 'not in LibTorch'
  const driver = found.driverCuda === null ? 'no driver' : `driver up to ${found.driverCuda}`
  return [
    ['cuda', found.libtorchHasCuda || found.driverCuda !== null ? `${ours}, ${driver}` : 'no'],
    ...found.cuda.map((device, index): [string, string] => {
      const { name, totalBytes, freeBytes, computeCapability, multiProcessors } = device
      const free = freeBytes === null ? '' : `, ${gib(freeBytes)} free`
      const use = index < found.numUsable ? '' : ' (not usable by this LibTorch)'
      return [
        `cuda:${index}`,
        `${name}, ${gib(totalBytes)}${free}, compute capability ${computeCapability.join('.')}, ${multiProcessors} multiprocessors${use}`,
      ]
    }),
  ]
}

/** What does not fit together, each with the way out. */
export function deviceWarnings(found: DeviceDiagnosis): readonly string[] {
  if (!found.libtorchHasCuda) {
    return found.hasNvidia || found.cuda.length > 0
      ? [
          `this machine has an NVIDIA GPU, and LibTorch ${found.libtorchVersion} has no CUDA: runs use the CPU; ${HOW_TO_SWITCH}`,
        ]
      : []
  }
  if (found.numUsable === 0) return [`no CUDA device can be used, runs use the CPU: ${whyNone(found)}`]
  const warnings: string[] = []
  found.cuda
    .slice(0, found.numUsable)
    .forEach(({ name, totalBytes, freeBytes, computeCapability }, index) => {
      if (!multipliesBf16({ computeCapability })) {
        warnings.push(
          `cuda:${index} (${name}) has no bfloat16 (compute capability ${computeCapability.join('.')}, from 8.0 on); training.bf16: auto uses float32 there`,
        )
      }
      if (freeBytes !== null && freeBytes < totalBytes / 2) {
        const used = `${((totalBytes - freeBytes) / 2 ** 30).toFixed(1)} of ${(totalBytes / 2 ** 30).toFixed(1)} GiB`
        warnings.push(`cuda:${index}: other processes hold ${used}; nvidia-smi lists them`)
      }
    })
  return warnings
}

function whyNone(found: DeviceDiagnosis): string {
  const { visible, hasNvidia, driverCuda, driverFailure, libtorchCuda } = found
  if (visible !== null && (visible.trim() === '' || visible.trim().startsWith('-'))) {
    return `CUDA_VISIBLE_DEVICES=${JSON.stringify(visible)} hides every GPU; unset it`
  }
  if (driverFailure !== null) return `the NVIDIA driver says "${driverFailure}"`
  if (driverCuda === null) {
    return hasNvidia
      ? 'the system shows an NVIDIA GPU but not libcuda.so.1 of its driver (in a container: start it with GPUs)'
      : 'this machine shows no NVIDIA driver'
  }
  if (libtorchCuda !== null && major(driverCuda) < major(libtorchCuda)) {
    return `the driver serves CUDA up to ${driverCuda} and LibTorch was built for ${libtorchCuda}; update the driver, or build against a PyTorch for CUDA ${major(driverCuda)}`
  }
  if (visible !== null)
    return `CUDA_VISIBLE_DEVICES=${JSON.stringify(visible)} names no GPU that is there; unset it`
  return 'the driver shows no device; nvidia-smi may say why'
}

/** Within one major version an older driver serves a newer CUDA. */
function major(version: string): number {
  return Number(version.split('.')[0])
}
