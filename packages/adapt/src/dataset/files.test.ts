import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { makeFolder } from './make-folder.js'
import { readRegular } from './regular-file.js'
import { writeFully } from './write-fully.js'

const root = mkdtempSync(path.join(os.tmpdir(), 'adapt-files-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const place = (...names: string[]) => path.join(root, ...names)

describe('makeFolder', () => {
  it('makes a folder with those above it, and leaves one that is there', () => {
    makeFolder(place('a/b/c'))
    makeFolder(place('a/b/c'))
    expect(existsSync(place('a/b/c'))).toBe(true)
    symlinkSync(place('a'), place('link'))
    makeFolder(place('link/d'))
    expect(existsSync(place('a/d'))).toBe(true)
  })

  it('refuses a place below or at a file', () => {
    writeFileSync(place('file'), '')
    expect(() => makeFolder(place('file'))).toThrow(/EEXIST/)
    expect(() => makeFolder(place('file/below'))).toThrow(/ENOTDIR/)
  })

  it.skipIf(process.platform !== 'linux')('comes back from a place that takes no folders', () => {
    expect(() => makeFolder('/proc/adapt/runs')).toThrow(/ENOENT/)
  })
})

describe('readRegular', () => {
  it('reads a file, and names what is none without waiting for it', (context) => {
    writeFileSync(place('text'), 'whole')
    expect(readRegular(place('text')).toString()).toBe('whole')
    const notAFile = expect.objectContaining({ code: 'NOT_A_FILE', exitCode: 7 })
    expect(() => readRegular(root)).toThrow(notAFile)
    expect(() => readRegular(root)).toThrow(`${root}: not a regular file but a folder`)
    expect(() => readRegular('/dev/null')).toThrow(notAFile)
    if (spawnSync('mkfifo', [place('pipe')]).status !== 0) context.skip('needs mkfifo')
    expect(() => readRegular(place('pipe'))).toThrow('pipe: not a regular file but a pipe')
  })
})

describe('writeFully', () => {
  it('goes on after a call that wrote fewer bytes than it was given', () => {
    const written: number[] = []
    const write = (_: number, bytes: Uint8Array, offset: number, length: number) => {
      const count = Math.min(3, length)
      written.push(...bytes.subarray(offset, offset + count))
      return count
    }
    const bytes = Uint8Array.from({ length: 10 }, (_, i) => i)
    writeFully(0, bytes, write)
    expect(written).toEqual([...bytes])
    expect(() => writeFully(0, bytes, () => 0)).toThrow('wrote 0 of 10 bytes')
  })
})
