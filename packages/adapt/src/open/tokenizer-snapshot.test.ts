import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { readRegular } from '../dataset/regular-file.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { TokenizerSnapshot } from './tokenizer-snapshot.js'

vi.mock('../dataset/regular-file.js', async (original) => {
  const actual = await original<typeof import('../dataset/regular-file.js')>()
  return { ...actual, readRegular: vi.fn(actual.readRegular) }
})

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

describe('TokenizerSnapshot', () => {
  it('does not take a file that cannot be opened for one that is not there', () => {
    const folder = workshop.file('tokenizer')
    writeFileSync(path.join(folder, 'chat_template.jinja'), 'x')
    const snapshot = TokenizerSnapshot.take(folder)
    vi.mocked(readRegular).mockImplementation(() => {
      throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })
    })
    expect(() => TokenizerSnapshot.take(folder)).toThrow('EMFILE')
    expect(() => snapshot.change()).toThrow('EMFILE')
  })
})
