import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStats } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { INDEX_FILE } from '../../hub/index.js'
import { editJson, loadError, loadValues, ModelShelf, readIndex } from './model-folder.test.fixture.js'

const shelf = new ModelShelf()
afterAll(() => shelf.remove())

describe('weights in shards', () => {
  it('are those of one file', () => {
    const { folder, shards } = shelf.saveShards()
    expect(shards.length).toBeGreaterThan(3)
    expect(loadValues(folder)).toEqual(loadValues(shelf.save()))
  })

  it('may be links into the blobs of a hub cache', () => {
    const { folder, shards } = shelf.saveShards()
    const [snapshot, blobs] = [join(folder, 'hub', 'snapshots', 'c0ffee'), join(folder, 'hub', 'blobs')]
    for (const path of [snapshot, blobs]) mkdirSync(path, { recursive: true })
    for (const [i, name] of [...shards, INDEX_FILE, 'config.json'].entries()) {
      copyFileSync(join(folder, name), join(blobs, `blob-${i}`))
      symlinkSync(`../../blobs/blob-${i}`, join(snapshot, name))
    }
    expect(loadValues(snapshot)).toEqual(loadValues(folder))
  })
})

describe('an index is refused', () => {
  const refused = (edit: (folder: string, shards: string[]) => void) => {
    const { folder, shards } = shelf.saveShards()
    edit(folder, shards)
    const { allocatedBytes } = memoryStats()
    const error = loadError(folder)
    expect(memoryStats().allocatedBytes).toBe(allocatedBytes)
    return error
  }
  const mapTo = (folder: string, change: Record<string, unknown>) =>
    editJson(folder, INDEX_FILE, { weight_map: { ...readIndex(folder).weight_map, ...change } })

  it('when a shard is not there', () => {
    const error = refused((folder, shards) => rmSync(join(folder, shards[1]!)))
    expect(error).toMatchObject({ code: 'MODEL_NOT_FOUND', exitCode: 2 })
    expect(error.message).toMatch(
      /model-00002-of-\d+\.safetensors: no such file, but model\.safetensors\.index\.json/,
    )
  })

  it.each([
    '../model.safetensors',
    '/etc/model.safetensors',
    'a/b.safetensors',
    '.hidden.safetensors',
    'model.bin',
    'model\u001b[2J.safetensors',
    '',
    7,
    null,
  ])('when it names %j', (name) => {
    const error = refused((folder) => mapTo(folder, { 'model.norm.weight': name }))
    expect(error).toMatchObject({ code: 'BAD_SHARDS', exitCode: 7 })
    expect(error.message).toContain(
      'model.norm.weight: expected the name of a .safetensors file in this folder',
    )
    expect(error.message).not.toContain('\u001b')
  })

  it('when a shard is a link that leads elsewhere', () => {
    const error = refused((folder, shards) => {
      renameSync(join(folder, shards[0]!), join(shelf.root, 'elsewhere.safetensors'))
      symlinkSync('../elsewhere.safetensors', join(folder, shards[0]!))
    })
    expect(error).toMatchObject({ code: 'BAD_SHARDS', exitCode: 7 })
    expect(error.message).toContain('is a link out of the folder')
  })

  it('when a tensor is in another shard, in two, or in none that it names', () => {
    const moved = refused((folder, shards) => mapTo(folder, { 'model.norm.weight': shards[0] }))
    expect(moved.message).toMatch(/model\.norm\.weight is in model-\S+, but the index says model-00001-of-/)
    const twice = refused((folder, shards) => {
      copyFileSync(join(folder, shards[0]!), join(folder, 'copy.safetensors'))
      mapTo(folder, { more: 'copy.safetensors' })
    })
    expect(twice.message).toMatch(/is in copy\.safetensors, but the index says model-00001-of-/)
    const none = refused((folder, shards) => mapTo(folder, { 'extra\n': shards[0] }))
    expect(none.message).toContain('extra\\u{a} is not in model-00001-of-')
    for (const error of [moved, twice, none]) expect(error).toMatchObject({ code: 'BAD_SHARDS', exitCode: 7 })
  })

  it('when its size is far from that of the files', () => {
    const error = refused((folder) => editJson(folder, INDEX_FILE, { metadata: { total_size: 1e12 } }))
    expect(error.message).toContain('metadata.total_size says 1000000000000 bytes of weights')
  })

  it.each(['{"weight_map":[]}', '{"weight_map":{}}', '{}'])('when it is %s', (text) => {
    expect(refused((folder) => writeFileSync(join(folder, INDEX_FILE), text)).message).toContain(
      'expected "weight_map"',
    )
  })

  it('when it is nested too deeply or is no JSON', () => {
    const deep = refused((folder) => writeFileSync(join(folder, INDEX_FILE), '{"a":'.repeat(100)))
    expect(deep).toMatchObject({ code: 'BAD_MODEL_CONFIG', exitCode: 7 })
    expect(deep.message).toContain('at most 32 levels')
    expect(refused((folder) => writeFileSync(join(folder, INDEX_FILE), '{'))).toMatchObject({
      code: 'BAD_MODEL_CONFIG',
    })
  })

  it('when a shard is damaged, which is named', () => {
    const error = refused((folder, shards) => writeFileSync(join(folder, shards[2]!), 'x'.repeat(100)))
    expect(error).toMatchObject({ code: 'SAFETENSORS_LENGTH', exitCode: 7 })
    expect(error.message).toContain('model-00003-of-')
  })
})

describe('what is no file in place of weights is an error at once', () => {
  const kinds: [string, (path: string) => boolean][] = [
    ['a folder', (path) => mkdirSync(path) === undefined],
    ['a pipe', (path) => spawnSync('mkfifo', [path]).status === 0],
    ['a device', (path) => symlinkSync('/dev/zero', path) === undefined],
  ]
  it.each(kinds)('%s', (_, make) => {
    const folder = shelf.save()
    const weights = join(folder, 'model.safetensors')
    rmSync(weights)
    if (!make(weights)) return
    const error = loadError(folder)
    expect(error).toMatchObject({ code: 'SAFETENSORS_NOT_A_FILE', exitCode: 7 })
    expect(error.message).toBe(`${weights}: expected a regular file, found a folder, pipe, socket or device`)
  })
})
