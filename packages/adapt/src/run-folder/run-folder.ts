import { readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { readRegular } from '../dataset/regular-file.js'
import { ConfigError, ResourceError } from '../errors.js'

const STATUSES = ['starting', 'running', 'finished', 'interrupted', 'failed'] as const
export type RunStatus = (typeof STATUSES)[number]

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
  'ledger',
  'samples.parquet',
  'tensorboard',
  'checkpoints',
  'model',
  'model-ema',
  'tokenizer',
  'eval',
  'profile',
  'report.html',
  'failure.json',
]

const LOCK = /^run\.lock(\.\d+\.(tmp|stale))?$/
/** Files and folders that a process was about to move into place. */
const TEMPORARY = /^(.+\.\d+\.tmp|\..+\.tmp-\d+(\.old)?)$/

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

/** run.json of a run folder; undefined where there is none that can be read. */
export function readRunState(folder: string): RunState | undefined {
  try {
    const state = JSON.parse(
      readRegular(join(folder, 'run.json')).toString('utf8'),
    ) as Partial<RunState> | null
    return state?.status !== undefined && STATUSES.includes(state.status) ? (state as RunState) : undefined
  } catch {
    return undefined
  }
}

/**
 * What a start in this folder means: `new`, or `continue` for a run that was interrupted, failed or killed. Changes nothing;
 * the caller holds the folder's lock.
 * @throws {ConfigError} RUN_EXISTS when it holds a finished run and `overwrite` is not set, NOT_A_RUN when it holds other
 *   files. @throws {ResourceError} RUN_FOLDER when it cannot be read.
 */
export function inspectRunFolder(folder: string, overwrite: boolean): 'new' | 'continue' {
  const entries = listFolder(folder).filter((name) => !LOCK.test(name) && !TEMPORARY.test(name))
  const state = readRunState(folder)
  // A power cut can leave run.json empty; the checkpoints tell that there is a run.
  const hasRun = entries.includes('checkpoints') && entries.includes('run.json')
  if (!state && hasRun && !overwrite) return requireConfig(folder, entries)
  if (!state && entries.length > 0 && !hasRun) {
    throw new ConfigError(
      'NOT_A_RUN',
      `output_dir: ${folder} holds files that are no run (${entries.slice(0, 3).join(', ')}): choose another folder`,
    )
  }
  // A start that was cut off had removed the older run already, or was about to.
  if (!state || overwrite || state.status === 'starting') return 'new'
  if (state.status === 'finished') {
    throw new ConfigError(
      'RUN_EXISTS',
      `output_dir: ${folder} holds a finished run (${state.step} of ${state.total_steps} steps): choose another folder or pass --overwrite; to train it longer, give a new folder and training.resume_from_checkpoint: ${join(folder, 'checkpoints', `step-${state.step}`)}`,
    )
  }
  // Without a config and without checkpoints there is nothing yet that could go on.
  if (!entries.includes('config.yaml') && !entries.includes('checkpoints')) return 'new'
  return requireConfig(folder, entries)
}

/** @throws {ConfigError} RUN_CONFIG_UNREADABLE: what a run was made under cannot be guessed from its checkpoints. */
function requireConfig(folder: string, entries: readonly string[]): 'continue' {
  if (entries.includes('config.yaml')) return 'continue'
  throw new ConfigError(
    'RUN_CONFIG_UNREADABLE',
    `output_dir: ${folder} holds checkpoints of a run but no config.yaml to compare with; put it back, choose another folder or pass --overwrite`,
  )
}

/**
 * Makes the folder ready: empty of older runs for a new one, tidied of what a dead process left half done for one that
 * goes on. The caller holds the folder's lock and has looked at it with {@link inspectRunFolder}.
 * @throws {ResourceError} RUN_FOLDER when it cannot be made.
 */
export function openRunFolder(folder: string, kind: 'new' | 'continue', totalSteps: number): RunFolder {
  const opened = new RunFolder(folder)
  try {
    if (kind === 'new') {
      // Said first: a process that is killed while it removes an older run must not leave one that could go on.
      opened.writeState('starting', 0, totalSteps)
      for (const name of OWN_ENTRIES) rmSync(join(folder, name), { recursive: true, force: true })
    } else {
      rmSync(join(folder, 'failure.json'), { recursive: true, force: true })
    }
    makeFolder(join(folder, 'eval'))
    for (const place of [folder, join(folder, 'eval')]) {
      for (const name of readdirSync(place).filter((entry) => TEMPORARY.test(entry) && !LOCK.test(entry)))
        rmSync(join(place, name), { recursive: true, force: true })
    }
  } catch (cause) {
    if (cause instanceof ResourceError) throw cause
    throw new ResourceError(
      'RUN_FOLDER',
      `output_dir: cannot make ${folder} (${(cause as Error).message})`,
      {},
      { cause },
    )
  }
  return opened
}

/** Paths of a run folder and the files that are replaced whole. */
export class RunFolder {
  /** @param writes  Whether this process is the one that writes; of several ranks one is, and `write` does nothing on the others. */
  constructor(
    readonly path: string,
    private readonly writes = true,
  ) {}

  file(name: string): string {
    return join(this.path, name)
  }

  /**
   * Replaces a file in one move, so that a reader never sees half of it, nor does a power cut leave it empty.
   * @throws {ResourceError} RUN_WRITE; the file is as it was.
   */
  write(name: string, content: string): void {
    if (!this.writes) return
    const target = this.file(name)
    const temporary = `${target}.${process.pid}.tmp`
    try {
      writeFileSync(temporary, content, { flush: true })
      renameSync(temporary, target)
    } catch (cause) {
      rmSync(temporary, { force: true })
      const message = `cannot write ${target} (${(cause as Error).message})`
      throw new ResourceError('RUN_WRITE', message, { path: target }, { cause })
    }
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
