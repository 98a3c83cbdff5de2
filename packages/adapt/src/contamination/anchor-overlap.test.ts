import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { resolveSources } from '../dataset/index.js'
import { findAnchorOverlap } from './anchor-overlap.js'

let root = ''
beforeEach(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-overlap-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const put = (name: string, records: readonly unknown[]) =>
  writeFileSync(path.join(root, name), records.map((record) => `${JSON.stringify(record)}\n`).join(''))

async function find(trainFingerprint = 'one', limit?: number) {
  const files = (name: string) => resolveSources([{ path: name, ...(limit ? { limit } : {}) }], root)
  return await findAnchorOverlap({
    anchorFiles: await files('anchors.jsonl'),
    trainFiles: await resolveSources([{ path: 'train*.jsonl' }], root),
    trainFingerprint,
    cacheDir: path.join(root, 'cache'),
  })
}

const texts = (...list: string[]) => list.map((text) => ({ text }))

describe('findAnchorOverlap', () => {
  it('counts anchors that are training documents, but for capitals and white space', async () => {
    put('anchors.jsonl', [...texts('One two', 'three', 'Three ', 'five'), { prompt: 'a', completion: 'b' }])
    put('train.jsonl', [...texts('six', ' one  TWO\n', 'one two', 'three'), { prompt: 'a', completion: 'b' }])
    expect(await find()).toEqual({
      numAnchors: 5,
      numVerbatim: 4,
      example: { anchor: 'anchors.jsonl:1', document: 'train.jsonl:2' },
    })
  })

  it('names a training file with the same bytes as an anchor file', async () => {
    put('anchors.jsonl', texts('a'))
    put('train-1.jsonl', texts('b'))
    put('train-2.jsonl', texts('a'))
    expect((await find()).identical).toEqual({ anchors: 'anchors.jsonl', train: 'train-2.jsonl' })
  })

  it('reads no training data again while all files are the same', async () => {
    put('anchors.jsonl', texts('a', 'b'))
    put('train.jsonl', texts('a'))
    expect(await find()).toMatchObject({ numVerbatim: 1 })
    // Not noticed, because the caller says that the data is the same.
    put('train.jsonl', texts('z'))
    expect(await find()).toMatchObject({ numVerbatim: 1 })
    expect(await find('two')).toMatchObject({ numVerbatim: 0 })
    put('train.jsonl', texts('b'))
    expect(await find('one', 1)).toMatchObject({ numAnchors: 1, numVerbatim: 0 })
    put('anchors.jsonl', texts('b'))
    expect(await find()).toMatchObject({ numVerbatim: 1 })
  })

  it('does its work again when what it kept is damaged', async () => {
    put('anchors.jsonl', texts('a'))
    put('train.jsonl', texts('a'))
    const found = await find()
    const folder = path.join(root, 'cache', 'anchor-overlap')
    const [name, ...others] = readdirSync(folder)
    expect(others).toEqual([])
    writeFileSync(path.join(folder, name!), '{"numAnchors": "x"')
    expect(await find()).toEqual(found)
  })
})
