import { type Device, parseDevice } from '../device.js'
import { deviceGroupsLibrary } from '../device-groups.js'
import { TorchError } from '../errors.js'
import { engine } from '../native.js'
import type { ControlPlane } from './control-plane.js'
import { type DeviceIdentity, identify, whyNoDeviceGroup } from './device-identity.js'
import type { EndOfJob } from './end-of-job.js'
import { PeerError } from './peer-error.js'
import { asked, TransportFailure, transport } from './transport.js'

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
const LOOK_MS = 200
/** The reason of a rank that has none of its own. */
const ELSEWHERE = 'another rank cannot'
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
  private hasMet = false

  constructor(options: LinkOptions) {
    this.options = options
    this.host = { id: this.openHost('gloo'), device: 'cpu' }
  }

  /** Whether ranks have to find out how tensors of this device travel. */
  isNew(device: Device): boolean {
    if (device === 'cpu' || this.options.backend === 'gloo') return false
    return !this.ofDevices.has(whole(device)) && !this.detours.has(whole(device))
  }

  /** The first time: they find it out for the device of each. Every rank calls it. */
  meet(device: Device, control: ControlPlane, look: () => void): void {
    if (!this.hasMet && this.options.backend !== 'gloo') this.meetOn(device, control, look)
  }

  /** Finds it out: every rank calls it, each with its own device. @throws {TorchError} NO_PROCESS_GROUPS where NCCL was asked for and cannot be had. */
  meetOn(device: Device, control: ControlPlane, look: () => void): void {
    this.hasMet = true
    const own = whole(device)
    const mine = JSON.stringify(identify(own, this.options.job.rank))
    const identities = control.collectText('device', mine).map((text) => JSON.parse(text) as DeviceIdentity)
    const link = whyNoDeviceGroup(identities) ?? this.openTogether(own, control, look)
    if (typeof link !== 'string') this.ofDevices.set(own, link)
    else if (this.options.backend !== 'nccl') this.detours.set(own, link)
    else throw new TorchError('NO_PROCESS_GROUPS', `the ranks cannot talk by NCCL: ${link}`)
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
  openBeside(device: Device, control: ControlPlane, look: () => void): Link {
    if (this.of(device) !== this.host) {
      const link = this.openTogether(whole(device), control, look)
      if (typeof link !== 'string') return link
      this.detours.set(whole(device), link)
    }
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
    this.until((limitMs) => engine().native.groupSettle(link.id, limitMs) || undefined, look)
  }

  /** What `step` gives once it gives something: it tries for so long, then the others are looked for. */
  until<T>(step: (limitMs: number) => T | undefined, look: () => void): T {
    const { timeoutMs } = this.options
    const end = performance.now() + timeoutMs
    for (;;) {
      const result = transport(() => step(LOOK_MS))
      if (result !== undefined) return result
      look()
      if (performance.now() > end)
        throw new TransportFailure('a device waits', { cause: new Error(`Timed out after ${timeoutMs} ms`) })
    }
  }

  /** Gives up what devices are at with ranks that are gone: a process that waits for them does not end. Never throws. */
  abort(): void {
    for (const { id, device } of [...this.ofDevices.values(), ...this.ofBuckets.values()])
      if (device !== 'cpu') quietly(() => engine().native.groupAbort(id, ABORT_MS))
  }

  /** Frees the engine's buckets and, where nothing is under way, their connections. */
  closeBuckets(buckets: number): void {
    const { native } = engine()
    const link = this.ofBuckets.get(buckets)
    this.ofBuckets.delete(buckets)
    if (!native.bucketsClose(buckets, CLOSE_MS) || link === undefined) return
    if (link.device !== 'cpu') native.groupAbort(link.id, ABORT_MS)
    native.groupClose(link.id)
  }

  /** Ends them all, that over the host first: by it the others learn of it. Never throws. */
  close(): void {
    quietly(() => engine().native.groupClose(this.host.id))
    this.abort()
    for (const buckets of [...this.ofBuckets.keys()]) quietly(() => this.closeBuckets(buckets))
    for (const { id } of this.ofDevices.values()) quietly(() => engine().native.groupClose(id))
    this.ofDevices.clear()
  }

  private openHost(name: string): number {
    const { job, host, interfaces, timeoutMs } = this.options
    const { native } = engine()
    const store = job.store.openPrefix(`${name}/`)
    try {
      return transport(() =>
        native.groupOpen(store, job.rank, job.members.length, timeoutMs, host, interfaces),
      )
    } finally {
      native.storeClose(store)
    }
  }

  /** A group of devices, or why one of the ranks cannot open it; none waits for a rank that could not. */
  private openTogether(device: Device, control: ControlPlane, look: () => void): Link | string {
    const { job } = this.options
    const name = `device-${this.numOpened++}`
    const failed = `${name}/failed`
    let id: number | undefined
    let mine = ''
    try {
      id = this.openDevice(device, name, () => {
        look()
        if (asked(() => job.store.get(failed)) !== undefined)
          throw new TorchError('NO_PROCESS_GROUPS', ELSEWHERE)
      })
    } catch (error) {
      if (error instanceof PeerError || error instanceof TransportFailure) throw error
      mine = String((error as Error).message).split('\n', 1)[0]!
      asked(() => job.store.set(failed, '1'))
    }
    const reasons = control.collectText('device', mine)
    const rank = reasons.findIndex((reason) => reason !== '' && reason !== ELSEWHERE)
    if (id !== undefined && reasons.every((reason) => reason === '')) return { id, device }
    if (id !== undefined) {
      engine().native.groupAbort(id, ABORT_MS)
      engine().native.groupClose(id)
    }
    return `rank ${rank}: ${reasons[rank]}`
  }

  private openDevice(device: Device, name: string, look: () => void): number {
    const library = deviceGroupsLibrary(device)
    if (typeof library !== 'string') throw new TorchError('NO_PROCESS_GROUPS', library.missing)
    const { native } = engine()
    const { type, index } = parseDevice(device)
    const { job, timeoutMs } = this.options
    const store = job.store.openPrefixApart(`${name}/`)
    let opening: number
    try {
      opening = native.deviceGroupOpen(library, store, job.rank, job.members.length, type, index, timeoutMs)
    } finally {
      native.storeClose(store)
    }
    const opened = this.until((limitMs) => {
      try {
        const id = native.deviceGroupReady(opening, limitMs)
        return id < 0 ? undefined : id
      } catch (error) {
        return String((error as Error).message)
      }
    }, look)
    if (typeof opened === 'string') throw new TorchError('NO_PROCESS_GROUPS', opened)
    return opened
  }
}

/** For the end of a group: what is reported is why it ends. */
function quietly(action: () => void): void {
  try {
    action()
  } catch {
    // The process ends all the same.
  }
}

/** The name that tensors have for their device. */
function whole(device: Device): Device {
  return device === 'cpu' || device.includes(':') ? device : `${device}:0`
}
