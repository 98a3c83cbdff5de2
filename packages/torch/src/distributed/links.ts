import { type Device, parseDevice } from '../device.js'
import { deviceGroupsLibrary } from '../device-groups.js'
import { TorchError } from '../errors.js'
import { engine } from '../native.js'
import type { ControlPlane } from './control-plane.js'
import { type DeviceIdentity, identify, whyNoDeviceGroup } from './device-identity.js'
import type { EndOfJob } from './end-of-job.js'
import { TransportFailure, transport } from './transport.js'

/** How tensors travel: `nccl` for those of a CUDA device directly, `gloo` over the host. */
export type Backend = 'auto' | 'gloo' | 'nccl'

/** A group of the engine that connects every rank with every other. */
export interface Link {
  /** The engine's number. */
  readonly id: number
  /** Where tensors must be for it. */
  readonly device: Device
}

/** What connections of a job need to know of it. */
export interface LinkOptions {
  readonly job: EndOfJob
  readonly timeoutMs: number
  /** As Gloo takes them. */
  readonly host: string
  readonly interfaces: string
  readonly backend: Backend
}

/** How long one look at a device lasts before the others are looked for. */
const SETTLE_MS = 200
/** How long giving up what a device is at may take. */
const ABORT_MS = 2_000
/** How long a rank that ends waits for what its buckets have sent. */
const CLOSE_MS = 500

/** The connections of a group: one over the host, one of its own for each set of gradient buckets, and those of devices where they can be had. */
export class Links {
  readonly host: Link
  private readonly detours = new Map<Device, string>()
  private readonly options: LinkOptions
  private readonly ofDevices = new Map<Device, Link>()
  /** Of gradient buckets, by the engine's number of these. */
  private readonly ofBuckets = new Map<number, Link>()
  private numOpened = 0

  constructor(options: LinkOptions) {
    this.options = options
    this.host = { id: this.openHost('gloo'), device: 'cpu' }
  }

  /** Whether ranks have to find out how tensors of this device travel. */
  isNew(device: Device): boolean {
    if (device === 'cpu' || this.options.backend === 'gloo') return false
    return !this.ofDevices.has(whole(device)) && !this.detours.has(whole(device))
  }

  /** Finds it out: every rank calls it, each with its own device. @throws {TorchError} NO_PROCESS_GROUPS where NCCL was asked for and cannot be had. */
  meetOn(device: Device, control: ControlPlane): void {
    const own = whole(device)
    const mine = JSON.stringify(identify(own, this.options.job.rank))
    const identities = control.collectText('device', mine).map((text) => JSON.parse(text) as DeviceIdentity)
    const why = whyNoDeviceGroup(identities)
    if (why === undefined) this.ofDevices.set(own, this.openDevice(own))
    else if (this.options.backend !== 'nccl') this.detours.set(own, why)
    else throw new TorchError('NO_PROCESS_GROUPS', `the ranks cannot talk by NCCL: ${why}`)
  }

  /** By which tensors of a device travel. */
  of(device: Device): Link {
    return this.ofDevices.get(whole(device)) ?? this.host
  }

  /** Why tensors of a device go over the host; undefined where they do not, or nobody asked for anything else. */
  detourOf(device: Device): string | undefined {
    return this.detours.get(whole(device))
  }

  /** One more link for tensors of a device, whose traffic meets none of the others'. Every rank calls it. */
  openBeside(device: Device): Link {
    if (this.of(device) !== this.host) return this.openDevice(whole(device))
    return { id: this.openHost(`buckets-${this.numOpened++}`), device: 'cpu' }
  }

  keepForBuckets(buckets: number, link: Link): void {
    this.ofBuckets.set(buckets, link)
  }

  ofBucket(buckets: number): Link {
    return this.ofBuckets.get(buckets) ?? this.host
  }

  /** Returns when a device has done what it was asked to exchange. @param look  Called now and then meanwhile; throws where somebody is gone. */
  settle(link: Link, look: () => void): void {
    if (link.device === 'cpu') return
    const { timeoutMs } = this.options
    const until = performance.now() + timeoutMs
    while (!transport(() => engine().native.groupSettle(link.id, SETTLE_MS))) {
      look()
      if (performance.now() > until)
        throw new TransportFailure('a device waits', { cause: new Error(`Timed out after ${timeoutMs} ms`) })
    }
  }

  /** Gives up what devices are at with ranks that are gone: a process that waits for them does not end. */
  abort(): void {
    for (const { id, device } of [...this.ofDevices.values(), ...this.ofBuckets.values()])
      if (device !== 'cpu') engine().native.groupAbort(id, ABORT_MS)
  }

  /** Frees the engine's buckets and, where nothing is under way, their connections. */
  closeBuckets(buckets: number): void {
    const { native } = engine()
    const link = this.ofBuckets.get(buckets)
    this.ofBuckets.delete(buckets)
    if (native.bucketsClose(buckets, CLOSE_MS) && link !== undefined) native.groupClose(link.id)
  }

  close(): void {
    for (const buckets of [...this.ofBuckets.keys()]) this.closeBuckets(buckets)
    for (const { id } of [...this.ofDevices.values(), this.host]) engine().native.groupClose(id)
    this.ofDevices.clear()
  }

  private openHost(name: string): number {
    const { host, interfaces, timeoutMs } = this.options
    return this.within(name, (store, rank, size) =>
      engine().native.groupOpen(store, rank, size, timeoutMs, host, interfaces),
    )
  }

  private openDevice(device: Device): Link {
    const library = deviceGroupsLibrary(device)
    if (typeof library !== 'string') throw new TorchError('NO_PROCESS_GROUPS', library.missing)
    const { timeoutMs } = this.options
    const index = Math.max(0, parseDevice(device).index)
    const id = this.within(`device-${this.numOpened++}`, (store, rank, size) =>
      engine().native.deviceGroupOpen(library, store, rank, size, index, timeoutMs),
    )
    return { id, device }
  }

  /** Ranks meet under a name in the store. */
  private within<T>(name: string, open: (store: number, rank: number, size: number) => T): T {
    const { job } = this.options
    const store = job.store.openPrefix(`${name}/`)
    try {
      return transport(() => open(store, job.rank, job.members.length))
    } finally {
      engine().native.storeClose(store)
    }
  }
}

/** The name that tensors have for their device. */
function whole(device: Device): Device {
  return device === 'cpu' || device.includes(':') ? device : `${device}:0`
}
