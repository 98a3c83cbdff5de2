import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { engine } from '../native.js'

/** What a rank tells the others of itself when it joins. */
export interface Member {
  readonly worldSize: number
  readonly host: string
  readonly pid: number
  /** Equal for processes that reach each other by 127.0.0.1. */
  readonly network: string
  /** Equal for processes that see each other's numbers. */
  readonly processes: string
  readonly libtorch: string
}

function read(source: () => string): string {
  try {
    return source()
  } catch {
    return ''
  }
}

/** This process as a member of a job of so many. */
export function thisMember(worldSize: number): Member {
  const boot = read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) || hostname()
  return {
    worldSize,
    host: hostname(),
    pid: process.pid,
    network: `${boot} ${read(() => readlinkSync('/proc/self/ns/net'))}`,
    processes: `${boot} ${read(() => readlinkSync('/proc/self/ns/pid'))}`,
    libtorch: engine().native.info().version,
  }
}

/** Whether the process has ended; undefined where it cannot be seen from here. */
export function hasEnded(member: Member, here: Member): boolean | undefined {
  if (member.processes !== here.processes) return undefined
  const stat = read(() => readFileSync(`/proc/${member.pid}/stat`, 'utf8'))
  // A process that nobody has waited for yet keeps its number: state Z.
  if (stat) return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  try {
    process.kill(member.pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
