import { readFileSync } from 'node:fs'

/** What Linux tells of a process. */
export interface ProcessStat {
  readonly parent: number
  /** Id of its session's leader. */
  readonly session: number
  /** Clock ticks from boot to its start: tells it from another process that gets the same id later. */
  readonly startTime: string
}

/** Reads `/proc/<pid>/stat`; undefined for a process that is gone, and where there is no such file. */
export function readProcessStat(pid: number): ProcessStat | undefined {
  const stat = readProc(pid, 'stat')
  if (stat === undefined) return undefined
  // The second field, a name in brackets, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { parent: Number(fields[1]), session: Number(fields[3]), startTime: fields[19] ?? '' }
}

/** The arguments a process was started with, or the title it gave itself; empty when that cannot be known. */
export function readProcessArguments(pid: number): readonly string[] {
  return (readProc(pid, 'cmdline') ?? '').split('\0').filter((text) => text !== '')
}

/** Whether a process ignores a signal. */
export function ignoresSignal(pid: number, signal: number): boolean {
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readProc(pid, 'status') ?? '')?.[1]
  return mask !== undefined && ((BigInt(`0x${mask}`) >> BigInt(signal - 1)) & 1n) === 1n
}

function readProc(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return undefined
  }
}
