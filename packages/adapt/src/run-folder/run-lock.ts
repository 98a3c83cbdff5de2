import { linkSync, readdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { readRegular } from '../dataset/regular-file.js'
import { ConfigError, ResourceError } from '../errors.js'
import { readProcessStat } from './process-stat.js'

const LOCK_NAME = 'run.lock'

/** Who writes a run folder. A process is known by more than its id, which the system gives out again. */
interface LockOwner {
  readonly pid: number
  readonly host: string
  /** Of the running system; empty where it cannot be known. */
  readonly boot_id: string
  /** Clock ticks from boot to the process's start; empty where it cannot be known. */
  readonly start_time: string
}

/**
 * The right to write a run folder, held by one process. It lies in `run.lock`, which appears whole or not at all. A lock
 * whose process is gone, or is another one that got the same id, is taken over.
 */
export class RunLock implements Disposable {
  private constructor(
    private readonly folder: string,
    private readonly text: string,
  ) {}

  /**
   * Takes the lock of a folder, which is made when it is not there.
   * @throws {ConfigError} RUN_ACTIVE when a process holds it; NOT_A_RUN when `folder` is no folder.
   * @throws {ResourceError} RUN_FOLDER when the folder cannot be made or written.
   */
  static acquire(folder: string): RunLock {
    const owner: LockOwner = {
      pid: process.pid,
      host: hostname(),
      boot_id: readText('/proc/sys/kernel/random/boot_id').trim(),
      start_time: readProcessStat(process.pid)?.startTime ?? '',
    }
    const text = `${JSON.stringify(owner)}\n`
    const path = join(folder, LOCK_NAME)
    const own = `${path}.${process.pid}.tmp`
    try {
      makeFolder(folder)
      writeFileSync(own, text)
      try {
        for (let attempt = 0; ; attempt++) {
          if (link(own, path)) {
            removeLeftovers(folder, owner)
            return new RunLock(folder, text)
          }
          const held = readText(path)
          if (held !== '' && isHeld(held, owner)) throw active(folder, held)
          if (attempt === 10) throw active(folder, held)
          takeAway(path, held)
        }
      } finally {
        rmSync(own, { force: true })
      }
    } catch (cause) {
      if (cause instanceof ConfigError) throw cause
      const { code, message } = cause as NodeJS.ErrnoException
      if (code === 'ENOTDIR' || code === 'EEXIST') {
        throw new ConfigError('NOT_A_RUN', `output_dir: ${folder} is not a folder: choose another`)
      }
      throw new ResourceError('RUN_FOLDER', `output_dir: cannot write ${folder} (${message})`, {}, { cause })
    }
  }

  /** Removes the lock of a folder whose holders are known to be gone, on whatever machine. */
  static forget(folder: string): void {
    rmSync(join(folder, LOCK_NAME), { force: true })
  }

  /** Gives the lock back; a folder that holds nothing else goes with it. */
  [Symbol.dispose](): void {
    const path = join(this.folder, LOCK_NAME)
    if (readText(path) === this.text) rmSync(path, { force: true })
    try {
      rmdirSync(this.folder)
    } catch {
      // It holds a run.
    }
  }
}

/** Whether `path` could be made a second name of `own`: atomic, and only where there was none. */
function link(own: string, path: string): boolean {
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Moves a stale lock away, but puts back one that another process took meanwhile. */
function takeAway(path: string, stale: string): void {
  const aside = `${path}.${process.pid}.stale`
  try {
    renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (readText(aside) !== stale) link(aside, path)
  rmSync(aside, { force: true })
}

/** Removes what processes of this host left that were killed while they took the lock. */
function removeLeftovers(folder: string, self: LockOwner): void {
  for (const name of readdirSync(folder)) {
    const pid = /^run\.lock\.(\d+)\.(tmp|stale)$/.exec(name)?.[1]
    if (pid === undefined || Number(pid) === self.pid || isAlive(Number(pid))) continue
    const text = readText(join(folder, name))
    if (text === '' || text.includes(JSON.stringify(self.host))) rmSync(join(folder, name), { force: true })
  }
}

function isHeld(text: string, self: LockOwner): boolean {
  let owner: Partial<LockOwner>
  try {
    owner = JSON.parse(text) as Partial<LockOwner>
  } catch {
    // A lock appears whole, so this is none of ours; but for someone's sake it is not removed.
    return true
  }
  if (owner.host !== self.host) return true
  if (owner.boot_id !== self.boot_id) return false
  if (!Number.isSafeInteger(owner.pid) || !isAlive(owner.pid!)) return false
  return owner.start_time === (readProcessStat(owner.pid!)?.startTime ?? '')
}

function active(folder: string, text: string): ConfigError {
  let owner: Partial<LockOwner> = {}
  try {
    owner = JSON.parse(text) as Partial<LockOwner>
  } catch {
    // Said without names.
  }
  const { pid, host } = owner
  const who = pid === undefined ? 'another process' : `process ${pid}`
  const where = host === undefined || host === hostname() ? '' : ` on ${host}`
  const hint = where === '' && pid !== undefined ? '' : `; if it is gone, remove ${join(folder, LOCK_NAME)}`
  return new ConfigError('RUN_ACTIVE', `output_dir: ${folder} is being written by ${who}${where}${hint}`, {
    ...owner,
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function readText(path: string): string {
  try {
    return readRegular(path).toString('utf8')
  } catch {
    return ''
  }
}
