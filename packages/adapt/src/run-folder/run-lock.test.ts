import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { RunLock } from './run-lock.js'

const root = mkdtempSync(path.join(os.tmpdir(), 'adapt-run-lock-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let folder = ''
beforeEach(() => {
  folder = path.join(mkdtempSync(path.join(root, 'case-')), 'runs', 'a')
})
const lockFile = () => path.join(folder, 'run.lock')
const owner = () => JSON.parse(readFileSync(lockFile(), 'utf8')) as Record<string, unknown>
/** A lock as another process would have left it. */
const forge = (changes: Record<string, unknown>) => {
  const lock = RunLock.acquire(folder)
  const text = JSON.stringify({ ...owner(), ...changes })
  lock[Symbol.dispose]()
  using own = RunLock.acquire(folder)
  writeFileSync(path.join(folder, 'keep'), '')
  own[Symbol.dispose]()
  writeFileSync(lockFile(), text)
}
const deadPid = () => spawnSync(process.execPath, ['-e', '0']).pid

describe('RunLock', () => {
  it('makes the folder and leaves nothing when nothing was written', () => {
    const lock = RunLock.acquire(folder)
    expect(readdirSync(folder)).toEqual(['run.lock'])
    lock[Symbol.dispose]()
    expect(existsSync(folder)).toBe(false)
    lock[Symbol.dispose]()
  })

  it('is held by one at a time', () => {
    const first = RunLock.acquire(folder)
    expect(() => RunLock.acquire(folder)).toThrow(
      expect.objectContaining({
        code: 'RUN_ACTIVE',
        exitCode: 2,
        message: expect.stringContaining(String(process.pid)),
      }),
    )
    writeFileSync(path.join(folder, 'config.yaml'), '')
    first[Symbol.dispose]()
    expect(readdirSync(folder)).toEqual(['config.yaml'])
    RunLock.acquire(folder)[Symbol.dispose]()
  })

  it.each([
    ['whose process is gone', () => ({ pid: deadPid() })],
    ['whose process id belongs to a later process', () => ({ pid: process.ppid, start_time: '1' })],
    ['from before the system started', () => ({ pid: process.ppid, boot_id: 'other' })],
  ])('takes over a lock %s', (_, changes) => {
    forge(changes())
    using lock = RunLock.acquire(folder)
    expect(lock).toBeDefined()
    expect(owner().pid).toBe(process.pid)
    expect(readdirSync(folder).sort()).toEqual(['keep', 'run.lock'])
  })

  it('clears what killed processes left while they took it, not what living or distant ones are at', () => {
    mkdirSync(folder, { recursive: true })
    const [dead, distant] = [deadPid(), deadPid()]
    const leave = (pid: number | undefined, end: string, text: string) =>
      writeFileSync(`${lockFile()}.${pid}.${end}`, text)
    leave(dead, 'tmp', '')
    leave(dead, 'stale', JSON.stringify({ host: os.hostname() }))
    leave(process.ppid, 'tmp', '')
    leave(distant, 'tmp', JSON.stringify({ host: 'elsewhere.example' }))
    using lock = RunLock.acquire(folder)
    expect(lock).toBeDefined()
    const left = [`run.lock.${process.ppid}.tmp`, `run.lock.${distant}.tmp`]
    expect(readdirSync(folder).sort()).toEqual(['run.lock', ...left].sort())
  })

  it.each([
    ['of a living process', () => ({ pid: process.pid })],
    ['of another host', () => ({ pid: deadPid(), host: 'elsewhere.example' })],
  ])('respects a lock %s', (_, changes) => {
    forge(changes())
    expect(() => RunLock.acquire(folder)).toThrow(
      expect.objectContaining({ code: 'RUN_ACTIVE', exitCode: 2 }),
    )
    expect(readdirSync(folder).sort()).toEqual(['keep', 'run.lock'])
  })

  it('does not remove a lock that is not its own', () => {
    const lock = RunLock.acquire(folder)
    writeFileSync(lockFile(), 'taken')
    lock[Symbol.dispose]()
    expect(readFileSync(lockFile(), 'utf8')).toBe('taken')
  })
})
