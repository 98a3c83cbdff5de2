import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { Child, sleep } from './child.mjs'

/** System calls that change what is on the disk. `?` skips those that a machine does not have. */
const WRITE_CALLS = [
  ...['write', 'pwrite64', 'writev', 'pwritev', 'pwritev2', 'copy_file_range', 'sendfile'],
  ...['fsync', 'fdatasync', 'ftruncate', 'truncate', 'fallocate'],
  ...['rename', 'renameat', 'renameat2', 'link', 'linkat', 'symlink', 'symlinkat'],
  ...['unlink', 'unlinkat', 'mkdir', 'mkdirat', 'rmdir', 'open', 'openat', 'creat'],
]
const TRACE = `trace=${WRITE_CALLS.map((name) => `?${name}`).join(',')}`

/**
 * Whether system calls can be traced and changed here; strace is fetched with apt-get when that is possible.
 * @param {(line: string) => void} log @returns {string | undefined} the reason why not
 */
export function straceProblem(log) {
  if (process.platform !== 'linux') return 'needs Linux and strace'
  const works = () =>
    spawnSync('strace', ['-f', '-qq', '-o', '/dev/null', '-e', 'inject=fsync:error=EIO:when=9999', 'true'])
      .status === 0
  if (spawnSync('strace', ['--version']).status !== 0) {
    if (process.getuid() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) {
      return 'needs strace (apt-get install strace)'
    }
    log('strace is not installed: apt-get install -y strace')
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'strace'], { stdio: 'ignore' })
    if (spawnSync('strace', ['--version']).status !== 0) {
      spawnSync('apt-get', ['update'], { stdio: 'ignore' })
      spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'strace'], { stdio: 'ignore' })
    }
  }
  if (spawnSync('strace', ['--version']).status !== 0) return 'needs strace, which could not be installed'
  return works() ? undefined : 'needs ptrace with syscall injection, which this machine does not allow'
}

/**
 * One call of a traced process that changes the disk.
 * @typedef {object} Call
 * @property {number} pid thread that made it
 * @property {string} name of the system call
 * @property {number} nth of the calls of this name in its thread, from 1: what an injection counts
 * @property {string[]} paths absolute, of its file descriptor or its names
 * @property {boolean} finished false for the call in which the process was killed
 * @property {boolean} failed it gave an error
 * @property {string} result what it gave, as text
 */

/** Reads what `strace -f -y -s 0` wrote. @param {string} text @returns {Call[]} in order of their start */
export function parseTrace(text) {
  const calls = []
  const counts = new Map()
  const open = new Map()
  for (const line of text.split('\n')) {
    const resumed = /^(\d+)\s+<\.\.\. (\w+) resumed>(.*)$/.exec(line)
    if (resumed) {
      const call = open.get(resumed[1])
      if (call) finish(call, resumed[3])
      open.delete(resumed[1])
      continue
    }
    const started = /^(\d+)\s+(\w+)\((.*)$/.exec(line)
    if (!started) continue
    const [, pid, name, rest] = started
    const key = `${pid} ${name}`
    const nth = (counts.get(key) ?? 0) + 1
    counts.set(key, nth)
    const call = {
      pid: Number(pid),
      name,
      nth,
      paths: pathsOf(rest.replace(/\)\s+= .*$/, '')),
      finished: false,
      failed: false,
      result: '',
    }
    call.creates = /O_CREAT/.test(rest)
    if (rest.endsWith('<unfinished ...>')) open.set(pid, call)
    else finish(call, rest)
    calls.push(call)
  }
  return calls
}

function finish(call, rest) {
  const result = /\)\s+= (.*)$/.exec(rest)?.[1] ?? '?'
  call.result = result
  call.finished = !result.startsWith('?')
  call.failed = result.startsWith('-')
}

/** `3</path/of/fd>` and `"/path/in/quotes"`; a deleted file's path ends in "(deleted)". */
function pathsOf(text) {
  const names = [...text.matchAll(/\d+<(\/[^>]*)>|"(\/(?:[^"\\]|\\.)*)"/g)]
  return names.map((match) => (match[1] ?? match[2]).replace(/\s*\(deleted\)$/, ''))
}

/** The calls that change something under a folder. An open counts when it may make a file. */
export function callsUnder(calls, folder) {
  return calls.filter(
    (call) =>
      (!/^(open|openat|creat)$/.test(call.name) || call.creates) &&
      call.paths.some((name) => name === folder || name.startsWith(`${folder}/`)),
  )
}

/**
 * Runs a command under strace.
 * @param {string} logFile @param {readonly string[]} command
 * @param {{ cwd: string, inject?: string, fast?: boolean }} options `fast` leaves the kernel to filter the calls;
 *   signals cannot be injected then.
 */
export async function runTraced(logFile, command, { cwd, inject, fast = false }) {
  const args = ['-f', '-qq', '-y', '-s', '0', '-o', logFile, '-e', TRACE]
  if (fast) args.unshift('--seccomp-bpf')
  if (inject !== undefined) args.push('-e', `inject=${inject}`)
  const ended = await new Child('strace', [...args, ...command], { cwd }).ended
  return { ...ended, calls: existsSync(logFile) ? parseTrace(readFileSync(logFile, 'utf8')) : [] }
}

/**
 * Lets every write of a running process to some files fail for want of room, from now on until it ends.
 * @param {number} pid @param {readonly string[]} paths they need not be there yet
 */
export async function fillDiskOf(pid, paths) {
  const only = paths.flatMap((name) => ['-P', name])
  const inject = ['-e', 'inject=write,pwrite64:error=ENOSPC']
  // It stands still until it is traced.
  process.kill(pid, 'SIGSTOP')
  const tracer = new Child('strace', ['-f', '-qq', '-o', '/dev/null', ...only, ...inject, '-p', String(pid)])
  const isTraced = () => /^TracerPid:\s*[1-9]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  while (tracer.isRunning && !isTraced()) await sleep(10)
  process.kill(pid, 'SIGCONT')
}
