// Files of tensors that are not on the CPU: what is on its way is on the host in pieces.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { counted, DEVICE, loadTestingDevice } from '../testing-device/testing-device.mjs'
import {
  arange,
  equal,
  SafetensorsFile,
  scope,
  type Tensor,
  tensor,
  toDevice,
  toDType,
  transpose,
  writeSafetensors,
  zeros,
} from './index.js'

const folder = mkdtempSync(join(tmpdir(), 'adapt-device-'))
beforeAll(loadTestingDevice)
afterAll(() => rmSync(folder, { recursive: true }))

/** A piece, and a tail that fills no word. */
const PIECE = 8 << 20
const host = (x: Tensor) => toDevice(x, 'cpu')
const pathOf = (name: string) => join(folder, `${name}.safetensors`)
const write = (name: string, x: Tensor) => writeSafetensors(pathOf(name), new Map([['x', x]]))

function readInto(name: string, target: Tensor, options = {}): void {
  using file = new SafetensorsFile(pathOf(name))
  file.readInto('x', target, options)
}

describe.each([
  ['uint8', 1],
  ['bfloat16', 2],
  ['float32', 4],
  ['float64', 8],
] as const)('%s on another device', (dtype, itemBytes) => {
  const length = PIECE / itemBytes + 3

  it('reaches a file and comes back in pieces, to the byte', () => {
    scope(() => {
      const x = toDType(arange(length), dtype)
      write('host', x)
      const onDevice = toDevice(x, DEVICE)
      const { counts: out } = counted(() => write('device', onDevice))
      expect(out).toMatchObject({ copiesToHost: 2, bytesToHost: length * itemBytes, scalarReads: 0 })
      expect(readFileSync(pathOf('device')).equals(readFileSync(pathOf('host')))).toBe(true)

      const target = zeros([length], { dtype, device: DEVICE })
      const { counts: back } = counted(() => readInto('device', target))
      expect(back).toMatchObject({ copiesToDevice: 2, bytesToDevice: length * itemBytes, copiesToHost: 0 })
      expect(equal(host(target), x)).toBe(true)
    })
  })
})

describe('a tensor on another device', () => {
  it('is read and written in its own order when its memory is in another', () => {
    scope(() => {
      const table = tensor([1, 2, 3, 4, 5, 6], [2, 3])
      write('turned', transpose(toDevice(table, DEVICE), 0, 1))
      const target = zeros([2, 3], { device: DEVICE })
      readInto('turned', transpose(target, 0, 1))
      expect(equal(host(target), table)).toBe(true)
      using file = new SafetensorsFile(pathOf('turned'))
      expect([...file.read('x').toFloat32Array()]).toEqual([1, 4, 2, 5, 3, 6])
    })
  })

  it('is read to where it is wanted', () => {
    scope(() => {
      write('wanted', tensor([1, 2], [2]))
      using file = new SafetensorsFile(pathOf('wanted'))
      expect([file.read('x').device, file.read('x', DEVICE).device]).toEqual(['cpu', DEVICE])
      expect([...file.read('x', DEVICE).toFloat32Array()]).toEqual([1, 2])
    })
  })

  it('takes values of another dtype, which its own device rounds', () => {
    scope(() => {
      const x = toDType(arange(5), 'bfloat16')
      write('half', x)
      const target = zeros([5], { device: DEVICE })
      const { counts } = counted(() => readInto('half', target, { convert: true }))
      expect(counts.bytesToDevice).toBe(10)
      expect([...target.toFloat32Array()]).toEqual([0, 1, 2, 3, 4])
    })
  })
})
