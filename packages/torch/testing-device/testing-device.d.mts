import type { Tensor } from '@adapt-ts/torch'

/** What happened on the device since the last reset. */
export interface DeviceCounts {
  readonly copiesToHost: number
  readonly bytesToHost: number
  readonly copiesToDevice: number
  readonly bytesToDevice: number
  readonly copiesWithin: number
  /** `item` and what calls it. */
  readonly scalarReads: number
  /** Operators whose result has a size that depends on values, so that the host must wait for it. */
  readonly waits: number
  /** Tensors of the host without dimensions beside tensors of the device. */
  readonly hostScalars: number
  /** Operators run, and so an upper bound of the kernels that a device would launch. */
  readonly operators: number
}

export type Forbiddable = 'copiesToHost' | 'copiesToDevice' | 'scalarReads' | 'waits' | 'hostScalars'

export const DEVICE: string
export const OTHER_DEVICE: string
export function loadTestingDevice(): Promise<void>
export function deviceCounts(): DeviceCounts
export function resetDeviceCounts(): void
export function counted<T>(action: () => T): { result: T; counts: DeviceCounts }
export function withForbidden<T>(what: readonly Forbiddable[], action: () => T): T
/** How often an operator ran (`aten::mm`, `aten::add.Tensor`) since the last reset. */
export function timesRun(operator: string): number
export function deviceBytesInUse(): number
/** Runs `action` on a device with this much memory. */
export function withDeviceMemory<T>(bytes: number, action: () => T): T
/** Reads the first float32 as careless host code would: the process dies. */
export function peek(tensor: Tensor): number
