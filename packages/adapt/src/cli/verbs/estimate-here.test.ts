import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { acceleratorNamed } from '../../estimate/index.js'
import { H200, machineWith, V100 } from '../../open/device-facts.test.fixture.js'
import type { DeviceFacts } from '../../open/index.js'
import { safeIo } from '../terminal/cli-io.js'
import { estimateCommand } from './estimate-command.js'
import { describeHere, deviceHere } from './estimate-here.js'

vi.mock('./estimate-here.js', async (original) => {
  const actual = await original<typeof import('./estimate-here.js')>()
  return { ...actual, deviceHere: vi.fn(actual.deviceHere) }
})
afterEach(() => {
  vi.mocked(deviceHere).mockReset()
})

const ROOT = fileURLToPath(new URL('../../../../../', import.meta.url))

async function estimate(facts: DeviceFacts, config: string, ...set: string[]) {
  vi.mocked(deviceHere).mockImplementation(({ training }, warn) => describeHere(training.device, facts, warn))
  const out = { stdout: '', stderr: '' }
  const sink = (name: 'stdout' | 'stderr') => ({
    write(text: string) {
      out[name] += text
      return true
    },
  })
  const io = safeIo({ stdout: sink('stdout'), stderr: sink('stderr'), env: {} })
  await estimateCommand(join(ROOT, 'examples', config), { mfu: 0.4, set, samples: 1000 }, io)
  return out
}

describe('the GPU of this machine', () => {
  it('heads the table of devices with its own memory', async () => {
    const { stdout, stderr } = await estimate(machineWith([H200]), 'paper-instruct.yaml')
    const [first, second] = stdout.slice(stdout.indexOf('TFLOP/s')).split('\n').slice(1)
    expect(first).toMatch(/^cuda:0, NVIDIA H200 +989 +150 GB .* fits /)
    expect(second).toMatch(/^this CPU/)
    expect(stderr).toBe('')
  })

  it('is the one that training.device names, and warned of when a run will not fit', async () => {
    const facts = machineWith([H200, V100])
    const { stdout, stderr } = await estimate(facts, 'paper-instruct.yaml', 'training.device=cuda:1')
    expect(stdout).toMatch(/^cuda:1, \S+SXM2-16GB +unknown .*does not fit +unknown +unknown/m)
    expect(stderr).toMatch(
      /^warning: cuda:1, Tesla V100-SXM2-16GB: the run is expected to run out of memory: it needs \d+(\.\d+)? GB, 15\.3 GB of 16\.9 GB can be used; try a smaller training\.loss_chunk_size \(now auto\), a smaller data\.max_length/,
    )
    // What others hold counts.
    const shared = machineWith([H200], { deviceMemory: () => ({ free: 1e9, total: H200.totalMemory }) })
    expect((await estimate(shared, 'paper-instruct.yaml')).stderr).toContain('other processes hold the rest')
  })

  it('multiplies in bfloat16 only where it can', async () => {
    const warn = () => {}
    expect(await describeHere('auto', machineWith([V100]), warn)).toMatchObject({ hasBfloat16: false })
    expect(await describeHere('auto', machineWith([H200]), warn)).toMatchObject({ hasBfloat16: true })
    expect(await describeHere('auto', machineWith([]), warn)).toBeUndefined()
  })

  it('that is not here is a warning: the run may be meant for another machine', async () => {
    const { stdout, stderr } = await estimate(
      machineWith([H200]),
      'paper-instruct.yaml',
      'training.device=cuda:7',
    )
    expect(stderr).toMatch(/^warning: training\.device: expected cuda:0, received "cuda:7"/)
    expect(stdout).toMatch(/^this CPU/m)
  })

  it.each([
    ['NVIDIA H200', 'H200 SXM'],
    ['NVIDIA H100 80GB HBM3', 'H100 SXM'],
    ['NVIDIA H100 PCIe', undefined],
    ['NVIDIA A100-SXM4-80GB', 'A100 40GB'],
    ['NVIDIA GeForce RTX 4090', 'RTX 4090'],
    ['NVIDIA GeForce RTX 4090 Laptop GPU', undefined],
    ['NVIDIA L4', undefined],
    ['Tesla T4', undefined],
  ])('is known by the name %s as %s', (name, known) => {
    expect(acceleratorNamed(name)?.name).toBe(known)
  })
})
