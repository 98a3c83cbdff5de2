import { symlinkSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { dataFolder } from './data-folder.test.fixture.js'
import { fingerprintFiles } from './fingerprint-files.js'
import { matchSegment } from './glob.js'
import { resolveSources } from './resolve-sources.js'

const { put, errorOf, path: folder } = dataFolder()

describe('resolveSources', () => {
  it('matches *, ** and ? and sorts by path within an entry', async () => {
    for (const name of [
      'b.jsonl',
      'a.jsonl',
      'deep/x/c1.jsonl',
      'deep/c2.jsonl',
      '.hidden.jsonl',
      'deep/no.txt',
    ]) {
      put(name, '{"text":"x"}\n')
    }
    const names = async (pattern: string): Promise<string[]> =>
      (await resolveSources([{ path: pattern }], folder())).map((f) => f.name)
    expect(await names('*.jsonl')).toEqual(['a.jsonl', 'b.jsonl'])
    expect(await names('**/*.jsonl')).toEqual(['a.jsonl', 'b.jsonl', 'deep/c2.jsonl', 'deep/x/c1.jsonl'])
    expect(await names('deep/**')).toEqual(['deep/c2.jsonl', 'deep/no.txt', 'deep/x/c1.jsonl'])
    expect(await names('deep/**/c?.jsonl')).toEqual(['deep/c2.jsonl', 'deep/x/c1.jsonl'])
    expect(await names(path.join(folder(), 'a.*'))).toEqual(['a.jsonl'])
  })

  it('takes a name that holds wildcard characters literally when such a file exists', async () => {
    put('a*.jsonl', '{"text":"x"}\n')
    put('ab.jsonl', '{"text":"x"}\n')
    expect((await resolveSources([{ path: 'a*.jsonl' }], folder())).map((f) => f.name)).toEqual(['a*.jsonl'])
  })

  it('ends on a folder that links to its parent', async () => {
    put('d/a.jsonl', '{"text":"x"}\n')
    symlinkSync('..', path.join(folder(), 'd/up'))
    expect((await resolveSources([{ path: '**/*.jsonl' }], folder())).map((f) => f.name)).toEqual([
      'd/a.jsonl',
    ])
  })

  it('names the pattern that matches nothing', async () => {
    for (const pattern of ['none.jsonl', 'none/*.jsonl', '**/*.jsonl']) {
      const error = await errorOf(resolveSources([{ path: pattern }], folder()))
      expect([error.code, error.exitCode]).toEqual(['FILE_NOT_FOUND', 2])
      expect(error.message).toContain(pattern)
    }
  })

  it('refuses file types it does not read, pickles among them', async () => {
    for (const name of ['a.bin', 'a.pt', 'a.pkl', 'a.arrow', 'a.gz']) {
      put(name, 'x')
      expect((await errorOf(resolveSources([{ path: name }], folder()))).code).toBe('UNKNOWN_FILE_TYPE')
    }
  })

  it('refuses a limit that is not a positive integer, and a weight out of range', async () => {
    put('a.jsonl', '{"text":"x"}\n')
    for (const weight of [-1, 1e-39, 1e10, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect((await errorOf(resolveSources([{ path: 'a.jsonl', weight }], folder()))).code).toBe(
        'OUT_OF_RANGE',
      )
    }
    for (const limit of [0, -1, 1.5, Number.NaN]) {
      expect((await errorOf(resolveSources([{ path: 'a.jsonl', limit }], folder()))).code).toBe(
        'OUT_OF_RANGE',
      )
    }
  })

  it('matches segments with several stars without retrying every split', () => {
    expect(matchSegment('*a*b*', 'xxaxxbxx')).toBe(true)
    expect(matchSegment('*a*b', 'xxaxxbxx')).toBe(false)
    expect(matchSegment('?', '😀')).toBe(true)
    expect(matchSegment('*a*a*a*a*a*a*a*a*a*b', 'a'.repeat(200))).toBe(false)
    expect(matchSegment('*', '.hidden')).toBe(false)
  })
})

describe('fingerprintFiles', () => {
  const fingerprint = async (...names: string[]): Promise<string> =>
    fingerprintFiles(
      await resolveSources(
        names.map((n) => ({ path: n })),
        folder(),
      ),
    )

  it('changes with one byte, a name or the order, and with nothing else', async () => {
    put('a.jsonl', '{"text":"a"}')
    put('b.jsonl', '{"text":"b"}')
    const before = await fingerprint('a.jsonl', 'b.jsonl')
    expect(before).toMatch(/^[0-9a-f]{64}$/)
    expect(await fingerprint('?.jsonl')).toBe(before)
    expect(await fingerprint('b.jsonl', 'a.jsonl')).not.toBe(before)
    put('c.jsonl', '{"text":"b"}')
    expect(await fingerprint('a.jsonl', 'c.jsonl')).not.toBe(before)
    put('b.jsonl', '{"text":"B"}')
    expect(await fingerprint('a.jsonl', 'b.jsonl')).not.toBe(before)
  })
})
