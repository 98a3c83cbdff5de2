// Ranks whose tensors are on a device: what they exchange from device to device is what they exchange over the host, to the bit.
import { beforeAll, describe, expect, it } from 'vitest'
import { buildTestingDevice } from '../../testing-device/build.mjs'
import type { DeviceReport } from './device-groups.test.rank.js'
import { type DeviceIdentity, whyNoDeviceGroup } from './device-identity.js'
import { runJob } from './job.test.fixture.js'

const file = new URL('./device-groups.test.rank.js', import.meta.url)

let library = ''
beforeAll(async () => {
  library = await buildTestingDevice()
})
const onDevices = (more: Readonly<Record<string, string>> = {}) => ({
  env: () => ({ ADAPT_TORCH_TESTING_DEVICE: library, ...more }),
})

describe.each([2, 3])('%i ranks on devices', (worldSize) => {
  it.each(['exchange', 'reduce'])('%s the bits that go over the host, and nothing over it', async (task) => {
    for (const { exitCode, stderr, report } of await runJob<DeviceReport>(file, task, {
      worldSize,
      ...onDevices(),
    })) {
      expect([exitCode, stderr]).toEqual([0, ''])
      expect(report!.onDevice).toEqual(report!.onHost)
      expect(report!.onHost.flat().some((value) => value !== 0)).toBe(true)
      expect([report!.travel, report!.copies]).toEqual([{ backend: 'nccl' }, 0])
    }
  })

  it('exchange it over the host where that is asked for', async () => {
    const options = { worldSize, ...onDevices({ TEST_BACKEND: 'gloo' }) }
    for (const { exitCode, report } of await runJob<DeviceReport>(file, 'exchange', options)) {
      expect([exitCode, report!.travel]).toEqual([0, { backend: 'gloo' }])
      expect(report!.onDevice).toEqual(report!.onHost)
      expect(report!.copies).toBeGreaterThan(4)
    }
  })
})

describe('a device that waits for a rank', () => {
  it('that is gone ends the job at once, naming it', async () => {
    const [first] = await runJob(file, 'killed peer', onDevices())
    expect([first!.exitCode, first!.failure?.code, first!.failure?.rank]).toEqual([6, 'PEER_FAILED', 1])
    expect(first!.failure!.message).toMatch(/^rank 1 \(process \d+ on .*\) ended$/)
  })

  it('that does not answer ends it after the time that the group has', async () => {
    const [first] = await runJob(file, 'stopped peer', {
      ...{ timeoutMs: 1000, killed: 1 },
      ...onDevices(),
    })
    expect([first!.exitCode, first!.failure?.code, first!.failure?.rank]).toEqual([6, 'PEER_TIMEOUT', 1])
    expect(first!.failure!.message).toMatch(/^no answer from rank 1 .* for 1 s$/)
  })

  it('that fails by its own error ends it with that error', async () => {
    const [first] = await runJob(file, 'own error', onDevices())
    expect([first!.exitCode, first!.failure?.code, first!.failure?.rank]).toEqual([6, 'PEER_FAILED', 1])
    expect(first!.failure!.message).toBe('rank 1 failed: DATA_DAMAGED: shard 7 is damaged')
  })

  it('whose tensors are elsewhere goes over the host where that is known before', async () => {
    const reports = await runJob<DeviceReport>(file, 'different devices asked first', onDevices())
    expect(reports.map(({ report }) => [report!.travel.backend, report!.onDevice])).toEqual([
      ['gloo', [[3, 3]]],
      ['gloo', [[3, 3]]],
    ])
    expect(reports[0]!.report!.travel.detour).toBe('rank 1: its tensors are on the CPU')
  })

  it('whose device nothing leads to goes over the host, or is refused where that is not wanted', async () => {
    const without = (more: Readonly<Record<string, string>>) => ({
      env: (rank: number) => ({
        ...{ ADAPT_TORCH_TESTING_DEVICE: library, ...more },
        ...(rank === 1 ? { ADAPT_TESTING_DEVICE_APART: '1' } : {}),
      }),
    })
    for (const { exitCode, report } of await runJob<DeviceReport>(file, 'exchange', without({}))) {
      const detour = 'rank 1: no way leads from this device'
      expect([exitCode, report!.travel]).toEqual([0, { backend: 'gloo', detour }])
      expect(report!.onDevice).toEqual(report!.onHost)
    }
    for (const { exitCode, stderr } of await runJob(file, 'exchange', without({ TEST_BACKEND: 'nccl' }))) {
      expect(exitCode).toBe(1)
      expect(stderr).toContain('the ranks cannot talk by NCCL: rank 1: no way leads from this device')
    }
  })

  it.each([
    [
      'different devices',
      /rank 0: first use of a device .*rank 1: sum of \[4\], 16 bytes of float32 \(call 0\)/,
    ],
    [
      'different devices later',
      /rank 0: sum .* from device to device \(call 3\); rank 1: sum .* of float32 \(call 3\)/,
    ],
  ])('whose tensors are elsewhere says so: %s', async (task, message) => {
    for (const { failure } of await runJob(file, task, onDevices())) {
      expect(failure?.code).toBe('PEER_MISMATCH')
      expect(failure!.message).toMatch(message)
    }
  })
})

describe('a group of devices', () => {
  const of = (hardware: string, more: Partial<DeviceIdentity> = {}): DeviceIdentity => ({
    device: 'cuda:0',
    hardware,
    ...more,
  })

  it('needs a library on every rank and a device for each', () => {
    expect(whyNoDeviceGroup([of('a'), of('b')])).toBeUndefined()
    expect(whyNoDeviceGroup([of('a'), of('b', { missing: 'nccl.h is not found' })])).toBe(
      'rank 1: nccl.h is not found',
    )
    expect(whyNoDeviceGroup([of('a'), of('b'), of('a')])).toBe('ranks 0 and 2 share cuda:0')
  })
})
