import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { engine } from '../native.js'

// The headers in native/gloo are not Gloo's. The add-on comes first where LibTorch's own symbols are looked up: one of gloo's in
// it, even a weak one, would take the place of the real one.
it('the add-on neither defines nor needs a symbol of gloo', (context) => {
  const { status, stdout } = spawnSync('nm', ['-D', engine().build.addon], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (status !== 0) context.skip('needs nm')
  const lines = stdout.split('\n')
  expect(lines.some((line) => line.includes('ProcessGroupGloo'))).toBe(true)
  // Mangled, a name of the namespace gloo holds its length and itself.
  expect(lines.filter((line) => line.includes('4gloo'))).toEqual([])
})
