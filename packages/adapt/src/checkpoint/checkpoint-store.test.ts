import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { HostileFileError } from '../errors.js'
import { CheckpointStore } from './checkpoint-store.js'
import { temporaryName } from './publish-folder.js'

const root = mkdtempSync(path.join(os.tmpdir(), 'adapt-checkpoints-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let store: CheckpointStore
beforeEach(() => {
  store = new CheckpointStore(path.join(mkdtempSync(path.join(root, 'case-')), 'checkpoints'))
})
const write = (content: string) => (folder: string) => {
  writeFileSync(path.join(folder, 'model.safetensors'), content)
  writeFileSync(path.join(folder, 'state.json'), `{"of":${JSON.stringify(content)}}`)
}
const publish = (step: number, keep = 9) => store.publish(step, write(`step ${step}`), keep)
const newest = () => {
  const refused: string[] = []
  const found = store.newest((error: HostileFileError) => refused.push(error.message))
  return { step: found?.step, refused }
}
const file = (step: number, name: string) => path.join(store.folderOf(step), name)

describe('CheckpointStore', () => {
  it('finds the newest of what it published, by number and not by name', () => {
    expect(newest()).toEqual({ step: undefined, refused: [] })
    for (const step of [8, 9, 10]) publish(step)
    expect(newest()).toEqual({ step: 10, refused: [] })
    expect(readdirSync(store.folder).sort()).toEqual(['step-10', 'step-8', 'step-9'])
    expect(readdirSync(store.folderOf(9)).sort()).toEqual([
      'manifest.json',
      'model.safetensors',
      'state.json',
    ])
  })

  it('keeps the best beside the newest ones, as rotate_checkpoints of transformers does', () => {
    const kept = (keep: number, best: number) => {
      const folder = mkdtempSync(path.join(root, 'best-'))
      const rotated = new CheckpointStore(folder)
      for (const step of [1, 2, 3, 4, 5])
        rotated.publish(step, write(`step ${step}`), keep, best <= step ? best : undefined)
      return rotated.steps()
    }
    expect(kept(1, 2)).toEqual([2, 5])
    expect(kept(2, 1)).toEqual([1, 5])
    expect(kept(3, 1)).toEqual([1, 4, 5])
    expect(kept(3, 4)).toEqual([3, 4, 5])
    expect(kept(1, 5)).toEqual([5])
  })

  it('passes over folders and files whose names only look like those of checkpoints', () => {
    publish(8)
    for (const name of ['step-0099', 'step-', 'step-9x', 'step-1e3']) mkdirSync(path.join(store.folder, name))
    writeFileSync(path.join(store.folder, 'step-12'), 'a file')
    const { step, refused } = newest()
    expect(step).toBe(8)
    expect(refused).toHaveLength(1)
    expect(refused[0]).toContain('step-12')
    store.rewind(8)
    publish(9, 1)
    expect(store.steps()).toEqual([9])
  })

  it('refuses a checkpoint with a pipe in the place of a file, and does not wait for it', (context) => {
    for (const [step, name] of [
      [4, 'state.json'],
      [5, 'manifest.json'],
    ] as const) {
      publish(step)
      rmSync(file(step, name))
      if (spawnSync('mkfifo', [file(step, name)]).status !== 0) context.skip('needs mkfifo')
    }
    const { step, refused } = newest()
    expect(step).toBeUndefined()
    expect(refused).toHaveLength(2)
    expect(refused[0]).toContain('manifest.json')
    expect(refused[1]).toContain('state.json')
  })

  it('keeps as many as it is told, the new one among them', () => {
    for (const step of [1, 2, 3, 4]) publish(step, 2)
    expect(store.steps()).toEqual([3, 4])
    publish(5, 1)
    expect(store.steps()).toEqual([5])
  })

  it('keeps the older ones when the new one cannot be written, and leaves no half', () => {
    publish(1, 1)
    const failing = (folder: string) => {
      write('x')(folder)
      throw new Error('ENOSPC: no space left on device')
    }
    expect(() => store.publish(2, failing, 1)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_WRITE', exitCode: 5 }),
    )
    expect(readdirSync(store.folder)).toEqual(['step-1'])
    expect(newest().step).toBe(1)
  })

  const damages: [string, () => void][] = [
    ['a flipped bit', () => flip(file(2, 'model.safetensors'), 3)],
    ['a flipped bit in the manifest', () => flip(file(2, 'manifest.json'), 60)],
    ['a file cut short', () => truncateSync(file(2, 'state.json'), 5)],
    ['a file grown', () => appendFileSync(file(2, 'state.json'), ' ')],
    ['a missing file', () => rmSync(file(2, 'state.json'))],
    ['no manifest', () => rmSync(file(2, 'manifest.json'))],
    ['an empty manifest', () => truncateSync(file(2, 'manifest.json'), 0)],
    ['a file too many', () => writeFileSync(file(2, 'more.bin'), '')],
    [
      'a manifest that names a file outside, with the digest it has',
      () => {
        const [inner, outer] = [2, 1].map((step) =>
          JSON.parse(readFileSync(file(step, 'manifest.json'), 'utf8')),
        )
        inner.files['../step-1/state.json'] = outer.files['state.json']
        writeFileSync(file(2, 'manifest.json'), JSON.stringify(inner))
      },
    ],
    [
      'two files swapped',
      () => {
        renameSync(file(2, 'model.safetensors'), file(2, 'x'))
        renameSync(file(2, 'state.json'), file(2, 'model.safetensors'))
        renameSync(file(2, 'x'), file(2, 'state.json'))
      },
    ],
    [
      'the name of another step',
      () => {
        rmSync(store.folderOf(2), { recursive: true })
        publish(1)
        renameSync(store.folderOf(1), store.folderOf(2))
        publish(1)
      },
    ],
    [
      'a file where its folder was',
      () => {
        rmSync(store.folderOf(2), { recursive: true })
        writeFileSync(store.folderOf(2), '')
      },
    ],
  ]
  it.each(damages)('refuses one with %s by name and falls back to the one before', (_, damage) => {
    publish(1)
    publish(2)
    damage()
    const { step, refused } = newest()
    expect(step).toBe(1)
    expect(refused).toHaveLength(1)
    expect(refused[0]).toContain(store.folderOf(2))
  })

  it('refuses every single flipped byte', () => {
    publish(1)
    for (const name of readdirSync(store.folderOf(1))) {
      const whole = readFileSync(file(1, name))
      for (let offset = 0; offset < whole.length; offset++) {
        flip(file(1, name), offset)
        const damaged = readFileSync(file(1, name))
        // White space of the manifest says nothing; anything else must be noticed.
        const means = (bytes: Buffer) => bytes.toString('latin1').replace(/\s/g, '')
        if (name !== 'manifest.json' || means(damaged) !== means(whole)) {
          expect(newest(), `${name} byte ${offset}`).toMatchObject({
            step: undefined,
            refused: [expect.any(String)],
          })
        }
        writeFileSync(file(1, name), whole)
      }
    }
    expect(newest().step).toBe(1)
  })

  it('sets newer ones aside and removes leftovers when a run goes back', () => {
    for (const step of [1, 2, 3]) publish(step)
    mkdirSync(temporaryName(store.folderOf(4)))
    mkdirSync(`${temporaryName(store.folderOf(2))}.old`)
    store.rewind(1)
    expect(readdirSync(store.folder).sort()).toEqual(['step-1', 'step-2.damaged', 'step-3.damaged'])
    publish(2)
    store.rewind(1)
    expect(newest().step).toBe(1)
    store.rewind(-1)
    expect(newest().step).toBe(undefined)
  })

  it('does not count set-aside ones when it prunes', () => {
    for (const step of [1, 2]) publish(step)
    store.rewind(1)
    publish(2, 2)
    publish(3, 2)
    expect(readdirSync(store.folder).sort()).toEqual(['step-2', 'step-2.damaged', 'step-3'])
  })
})

function flip(target: string, offset: number): void {
  const bytes = readFileSync(target)
  bytes[offset]! ^= 1
  writeFileSync(target, bytes)
}
