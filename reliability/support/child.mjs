import { spawn } from 'node:child_process'
import path from 'node:path'

export const projectDir = path.dirname(path.dirname(import.meta.dirname))
export const adaptBin = path.join(projectDir, 'packages/adapt/bin/adapt.mjs')

/** Longest a child may take: far above any honest run, so that only a hang is cut off. */
const LIMIT_MS = 180_000

/**
 * A running child in a process group of its own.
 * @typedef {{ code: number | null, signal: string | null, stdout: string, stderr: string, ms: number, timedOut: boolean }} Ended
 */
export class Child {
  stdout = ''
  stderr = ''
  /** @type {((text: string) => void)[]} */
  #listeners = []

  /** @param {string} command @param {readonly string[]} args @param {{ cwd?: string, env?: object }} [options] */
  constructor(command, args, { cwd, env } = {}) {
    const started = performance.now()
    const childEnv = { ...process.env, UV_USE_IO_URING: '0', NO_COLOR: '1', ...env }
    delete childEnv.NODE_OPTIONS
    this.process = spawn(command, args, {
      cwd,
      env: childEnv,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      this.killGroup('SIGKILL')
    }, LIMIT_MS)
    this.process.stdout.setEncoding('utf8').on('data', (text) => {
      this.stdout += text
      for (const listener of this.#listeners) listener(text)
    })
    this.process.stderr.setEncoding('utf8').on('data', (text) => {
      this.stderr += text
    })
    /** @type {Promise<Ended>} */
    this.ended = new Promise((resolve, reject) => {
      this.process.on('error', reject)
      this.process.on('close', (code, signal) => {
        clearTimeout(timer)
        const ms = performance.now() - started
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr, ms, timedOut })
      })
    })
    /** When the process itself was gone, on the clock of `performance.now`. */
    this.exitedAt = new Promise((resolve) => this.process.on('exit', () => resolve(performance.now())))
  }

  /** @param {(text: string) => void} listener */
  onStdout(listener) {
    this.#listeners.push(listener)
  }

  /** Sends a signal to the process alone, as a scheduler does. */
  kill(signal) {
    return this.process.kill(signal)
  }

  /** Ends the process with every child it made. */
  killGroup(signal) {
    try {
      process.kill(-this.process.pid, signal)
    } catch {
      // Nobody is left.
    }
  }

  get isRunning() {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  /** True while any process of the child's group lives. */
  get hasOrphans() {
    try {
      process.kill(-this.process.pid, 0)
      return true
    } catch {
      return false
    }
  }
}

/** Starts the real command. */
export function startAdapt(args, options) {
  return new Child(process.execPath, [adaptBin, ...args], options)
}

/** Runs the real command to its end. */
export function adapt(args, options) {
  return startAdapt(args, options).ended
}

/** One line about how a child ended, for failure messages. */
export function describeEnd({ code, signal, stderr, timedOut }) {
  const how = timedOut ? 'hung and was killed' : signal ? `ended by ${signal}` : `exit ${code}`
  const lines = stderr.trim().split('\n')
  return `${how}${lines[0] ? `: ${lines.slice(0, 2).join(' | ').slice(0, 300)}` : ''}`
}

let jobs = 2

/** How many children run at a time. */
export function setJobs(count) {
  jobs = count
}

/**
 * Applies `work` to every item, some at a time (see `setJobs`), in order of start.
 * @template T, R
 * @param {readonly T[]} items @param {(item: T, index: number) => Promise<R>} work @returns {Promise<R[]>}
 */
export async function inParallel(items, work) {
  const results = new Array(items.length)
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      results[index] = await work(items[index], index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(jobs, items.length) }, worker))
  return results
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
