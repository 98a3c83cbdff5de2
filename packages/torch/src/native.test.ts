import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { runModule } from './testing/child-process.test.fixture.js'

const folder = mkdtempSync(join(tmpdir(), 'torch-native-'))
afterAll(() => rmSync(folder, { recursive: true }))

const builds = process.env.ADAPT_TORCH_BUILD_DIR || fileURLToPath(new URL('../build', import.meta.url))
const build = JSON.parse(readFileSync(join(builds, 'current.json'), 'utf8')) as { readonly addon: string }
const PRINT_ERROR = `
  try { torch.ones([1]); console.log('loaded') }
  catch (error) { console.log(error.name, error.code, error.message.includes('npx adapt-torch-build'), error.message.includes('\\n')) }`

/** A folder of builds whose current one is `addon`. */
function buildsWith(addon: string): string {
  const current = { ...build, addon }
  writeFileSync(join(folder, 'current.json'), JSON.stringify(current))
  return folder
}

describe('loading the engine', () => {
  it('happens on first use, not on import', () => {
    const { status, stdout } = runModule('console.log(typeof torch.ones)', {
      ADAPT_TORCH_BUILD_DIR: '/nowhere',
    })
    expect([status, stdout]).toEqual([0, 'function\n'])
  })

  it('takes the builds in the folder that the environment names', () => {
    expect(
      runModule(PRINT_ERROR, { ADAPT_TORCH_BUILD_DIR: buildsWith(join(builds, build.addon)) }).stdout,
    ).toBe('loaded\n')
  })

  it('says how to mend a build that is not there', () => {
    const { stdout } = runModule(PRINT_ERROR, { ADAPT_TORCH_BUILD_DIR: join(folder, 'nothing') })
    expect(stdout).toBe('TorchError ADDON_NOT_BUILT true false\n')
  })

  it('says how to mend an add-on that does not load', () => {
    writeFileSync(join(folder, 'broken.node'), 'no library')
    for (const addon of ['broken.node', 'nothing.node']) {
      const { stdout } = runModule(PRINT_ERROR, { ADAPT_TORCH_BUILD_DIR: buildsWith(addon) })
      expect(stdout).toBe('TorchError LIBTORCH_NOT_FOUND true false\n')
    }
  })

  it('takes the number of threads from the environment', () => {
    const print = 'console.log(torch.buildInfo().numThreads)'
    expect(runModule(print, { ADAPT_NUM_THREADS: '3' }).stdout).toBe('3\n')
    expect(Number(runModule(print, { ADAPT_NUM_THREADS: 'many' }).stdout)).toBeGreaterThan(0)
  })

  it('can leave the memory to the system allocator', () => {
    const print = 'torch.ones([10]); console.log(torch.memoryStats().allocatedBytes)'
    expect(runModule(print, { ADAPT_TORCH_ALLOCATOR: 'system' }).stdout).toBe('0\n')
    expect(runModule(print).stdout).toBe('40\n')
  })

  it('warns of tensors that were collected without being disposed, when asked', () => {
    const leak = `
      for (let i = 0; i < 50; i++) torch.ones([1])
      for (let i = 0; i < 20; i++) { globalThis.gc(); await new Promise((resolve) => setTimeout(resolve, 5)) }`
    const run = (env: Record<string, string>) =>
      runModule(leak, { NODE_OPTIONS: '--expose-gc', ...env }).stderr.includes('collected without dispose')
    expect(run({ ADAPT_TORCH_LEAKS: '1' })).toBe(true)
    expect(run({})).toBe(false)
  })
})
