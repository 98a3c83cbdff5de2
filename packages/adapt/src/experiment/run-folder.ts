import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, ResourceError } from '../errors.js'

export type RunStatus = 'running' | 'finished' | 'interrupted' | 'failed'

/** run.json: what is going on in a run folder. */
export interface RunState {
  readonly schema_version: 1
  readonly status: RunStatus
  readonly pid: number
  /** Seconds since the epoch. */
  readonly heartbeat: number
  readonly step: number
  readonly total_steps: number
}

/** What a run leaves behind; an older run in the folder is only removed when asked to. */
const OWN_ENTRIES = [
  'config.yaml',
  'provenance.json',
  'events.jsonl',
  'model',
  'eval',
  'report.html',
  'run.json',
  'failure.json',
]

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    if (code === 'ENOTDIR')
      throw new ConfigError('NOT_A_RUN', `output_dir: ${folder} is not a folder: choose another`)
    throw new ResourceError('RUN_FOLDER', `output_dir: cannot read ${folder} (${message})`, {}, { cause })
  }
}

function readState(folder: string): RunState | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as RunState
  } catch {
    return undefined
  }
}

/**
 * Makes the folder of a run, or takes over an empty one.
 * @throws {ConfigError} RUN_EXISTS when it holds a run already and `overwrite` is not set, RUN_ACTIVE when another
 *   process is writing it, NOT_A_RUN when it holds other files. @throws {ResourceError} RUN_FOLDER when it cannot be made.
 */
export function openRunFolder(folder: string, overwrite: boolean): RunFolder {
  const entries = listFolder(folder)
  const state = readState(folder)
  if (state?.status === 'running' && state.pid !== process.pid && isAlive(state.pid)) {
    throw new ConfigError('RUN_ACTIVE', `output_dir: ${folder} is being written by process ${state.pid}`)
  }
  if (state && !overwrite) {
    throw new ConfigError(
      'RUN_EXISTS',
      `output_dir: ${folder} holds a run (${state.status}, step ${state.step} of ${state.total_steps}): choose another folder or pass --overwrite`,
    )
  }
  if (!state && entries.length > 0) {
    throw new ConfigError(
      'NOT_A_RUN',
      `output_dir: ${folder} holds files that are no run (${entries.slice(0, 3).join(', ')}): choose another folder`,
    )
  }
  try {
    for (const name of OWN_ENTRIES) rmSync(join(folder, name), { recursive: true, force: true })
    mkdirSync(join(folder, 'eval'), { recursive: true })
  } catch (cause) {
    throw new ResourceError(
      'RUN_FOLDER',
      `output_dir: cannot make ${folder} (${(cause as Error).message})`,
      {},
      { cause },
    )
  }
  return new RunFolder(folder)
}

/** Paths of a run folder and the files that are replaced whole. */
export class RunFolder {
  constructor(readonly path: string) {}

  file(name: string): string {
    return join(this.path, name)
  }

  /** Replaces a file in one move, so that a reader never sees half of it. */
  write(name: string, content: string): void {
    const target = this.file(name)
    const temporary = `${target}.${process.pid}.tmp`
    writeFileSync(temporary, content)
    renameSync(temporary, target)
  }

  writeState(status: RunStatus, step: number, totalSteps: number): void {
    const state: RunState = {
      schema_version: 1,
      status,
      pid: process.pid,
      heartbeat: Date.now() / 1000,
      step,
      total_steps: totalSteps,
    }
    this.write('run.json', `${JSON.stringify(state, null, 2)}\n`)
  }
}
