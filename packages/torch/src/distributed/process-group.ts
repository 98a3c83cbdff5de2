import type { Device } from '../device.js'
import type { Collective } from './collective.js'
import type { Launch } from './launch-environment.js'
import type { Member } from './members.js'

/** How tensors of a device travel between ranks. */
export interface Travel {
  /** `gloo`: over the host; `nccl`: from device to device; `none`: a world of one. */
  readonly backend: 'gloo' | 'nccl' | 'none'
  /** Why over the host, where the device is another. */
  readonly detour?: string
}

/** Ranks of one job in processes of their own. Once a peer has failed, every method throws that same {@link PeerError} again. */
export interface ProcessGroup extends Collective {
  readonly launch: Launch
  /** Who the ranks are, in rank order. */
  readonly members: readonly Member[]
  /** Bytes that this rank has handed over for others. */
  readonly bytesSent: number
  /** Milliseconds that this rank has spent in what ranks do together, waiting for others above all. */
  readonly waitedMs: number
  /** How tensors of this rank's device travel. The first question about a device is one that all ranks must ask. */
  travel(device: Device): Travel
  /** Every rank's numbers, in rank order; lengths may differ. */
  gatherNumbers(values: readonly number[]): number[][]
  /** Every rank's text, in rank order. */
  gatherText(text: string): string[]
  /** Returns when every rank has called it, however long one of them works before: no limit of the group counts. */
  meet(): Promise<void>
  /** @throws {PeerError} when another rank has ended, for a rank that works long without the others. */
  requirePeers(): void
  /** Tells the others that this rank ends by an error of its own, which they will name. Never throws. */
  fail(error: { readonly code: string; readonly message: string }): void
  /** The end of the job: meets the others and closes the group. */
  leave(): Promise<void>
}

/** Whether the ranks are processes, whose gradients can travel in buckets. */
export function isProcessGroup(collective: Collective): collective is ProcessGroup {
  return 'launch' in collective && 'travel' in collective
}
