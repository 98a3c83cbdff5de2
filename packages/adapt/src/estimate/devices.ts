import { readFileSync } from 'node:fs'
import os from 'node:os'

/** A device by its published figures, or the one of this machine by what its driver says. */
export interface Device {
  readonly name: string
  /** Peak of dense matrix products, TFLOP/s: bfloat16 with float32 sums on accelerators, float32 on a CPU. NaN where unknown. */
  readonly tflops: number
  /** Bytes. */
  readonly memory: number
  readonly kind: 'accelerator' | 'cpu'
  /** Bytes that nobody uses now; only of a device that is there. */
  readonly free?: number
  /** Whether it multiplies bfloat16 itself. Default: accelerators do, a CPU by its flags. */
  readonly hasBfloat16?: boolean
}

const GB = 1e9
const accelerator = (name: string, tflops: number, gigabytes: number): Device => ({
  name,
  tflops,
  memory: gigabytes * GB,
  kind: 'accelerator',
})

/** Vendors' figures without sparsity. */
export const ACCELERATORS: readonly Device[] = [
  accelerator('RTX 3090', 71, 24),
  accelerator('RTX 4090', 165, 24),
  accelerator('L40S', 362, 48),
  accelerator('A100 40GB', 312, 40),
  accelerator('A100 80GB', 312, 80),
  accelerator('H100 SXM', 989, 80),
  accelerator('H200 SXM', 989, 141),
  accelerator('B200', 2250, 180),
]

/** The device of the table that a driver calls by this name, for instance `NVIDIA A100-SXM4-80GB`; slower boards of the same chip are not in it. */
export function acceleratorNamed(driverName: string): Device | undefined {
  if (/\b(?:H100|H200)\b.*\bPCIe\b|Laptop|\bMIG\b/i.test(driverName)) return undefined
  return ACCELERATORS.find(({ name }) => {
    const chip = name.replace(/ (?:SXM|\d+GB)$/, '')
    return new RegExp(`\\b${chip}\\b`, 'i').test(driverName)
  })
}

/** float32 operations a cycle and core: two fused multiply-adds of the widest vectors that the processor names. */
const OPERATIONS_PER_CYCLE: readonly (readonly [flag: RegExp, operations: number])[] = [
  [/\bavx512f\b/, 64],
  [/\bavx2\b/, 32],
  [/\b(asimd|neon)\b/, 16],
]

/** This machine's processor: cores x clock x operations a cycle by its flags; all of it assumed, not measured. */
export function thisCpu(): Device {
  const cores = Math.min(physicalCores(), os.availableParallelism())
  const clock = (os.cpus()[0]?.speed ?? 0) || 2500
  const operations = OPERATIONS_PER_CYCLE.find(([flag]) => flag.test(cpuFlags()))?.[1] ?? 8
  return {
    name: `this CPU (${cores} ${cores === 1 ? 'core' : 'cores'})`,
    tflops: (cores * clock * 1e6 * operations) / 1e12,
    memory: os.totalmem(),
    kind: 'cpu',
  }
}

/** Whether products in bfloat16 are made by the hardware; as the engine decides for `bf16: auto`. */
export function cpuHasBfloat16(): boolean {
  return /\b(avx512_bf16|amx_bf16|bf16)\b/.test(cpuFlags())
}

function cpuFlags(): string {
  return /^(?:flags|Features)\s*:(.*)$/m.exec(cpuInfo())?.[1] ?? ''
}

/** Two threads of one core share its units. Infinite where the system does not say. */
function physicalCores(): number {
  const packages = [...cpuInfo().matchAll(/^physical id\s*:(.*)$/gm)]
  const cores = [...cpuInfo().matchAll(/^core id\s*:(.*)$/gm)]
  const distinct = new Set(cores.map(([, core], i) => `${packages[i]?.[1]} ${core}`))
  return distinct.size === 0 ? Number.POSITIVE_INFINITY : distinct.size
}

function cpuInfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}
