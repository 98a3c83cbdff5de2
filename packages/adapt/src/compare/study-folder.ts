import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeFolder } from '../dataset/make-folder.js'
import { readRegular } from '../dataset/regular-file.js'
import { ConfigError } from '../errors.js'
import { RunLock, readRunState } from '../run-folder/index.js'

const MARKER = 'study.json'

/**
 * Runs are removed from a study's folder when they are out of date: it must be a study's.
 * @throws {ConfigError} NOT_A_STUDY
 */
export function requireStudyFolder(folder: string): void {
  if (!existsSync(folder) || existsSync(join(folder, MARKER))) return
  if (statSync(folder).isDirectory() && readdirSync(folder).length === 0) return
  throw new ConfigError(
    'NOT_A_STUDY',
    `output_dir: ${folder} holds files that are no study: choose another folder`,
  )
}

/** Makes the folder of a study, and says in it what it is. */
export function markStudyFolder(folder: string): void {
  makeFolder(folder)
  writeFileSync(join(folder, MARKER), `${JSON.stringify({ schema_version: 1 })}\n`)
}

/** Notes the hash that a run is begun under; what lies in its folder under another one is removed. @throws {ConfigError} RUN_ACTIVE */
export function beginRun(folder: string, hash: string): void {
  if (readText(begunPath(folder)) === hash) return
  emptyRunFolder(folder)
  makeFolder(dirname(folder))
  writeFileSync(begunPath(folder), `${hash}\n`)
}

/** Removes a run that is out of date; one that another process is writing is left. @throws {ConfigError} RUN_ACTIVE */
export function emptyRunFolder(folder: string): void {
  if (!existsSync(folder)) return
  using _lock = RunLock.acquire(folder)
  for (const name of readdirSync(folder).filter((entry) => entry !== 'run.lock'))
    rmSync(join(folder, name), { recursive: true, force: true })
}

/** Whether the run in a folder came to its end. */
export function isFinished(runFolder: string): boolean {
  return readRunState(runFolder)?.status === 'finished'
}

/** Beside a run folder: the hash under which its run was begun. */
function begunPath(folder: string): string {
  return `${folder}.begun`
}

function readText(path: string): string | undefined {
  try {
    return readRegular(path).toString('utf8').trim()
  } catch {
    return undefined
  }
}
