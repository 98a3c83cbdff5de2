import { expect, it } from 'vitest'
import { defaultChunkSize } from './default-chunk-size.js'

it.each([
  ['cpu', 128_256, 512],
  ['cuda:0', 32_768, 4096],
  ['cuda', 128_256, 1024],
  ['cuda', 1_000_000_000, 512],
])('on %s with %d words a chunk has %d positions', (device, vocabSize, expected) => {
  expect(defaultChunkSize(device, vocabSize)).toBe(expected)
})
