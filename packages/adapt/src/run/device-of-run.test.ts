import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { buildInfo } from '@adapt-ts/torch'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { inspectAnchors } from '../anchors/index.js'
import { loadConfig } from '../config/index.js'
import { deviceFacts } from '../open/device-facts.js'
import { H200, machineWith } from '../open/device-facts.test.fixture.js'
import { evaluateModelFolder } from '../open/index.js'
import { Workshop } from './workshop.test.fixture.js'

vi.mock('../open/device-facts.js', async (original) => {
  const actual = await original<typeof import('../open/device-facts.js')>()
  return { ...actual, deviceFacts: vi.fn(actual.deviceFacts) }
})

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())
afterEach(() => {
  vi.mocked(deviceFacts).mockReset()
})
const SHORT = ['training.max_steps=2', 'evaluation={}']

/** Lets this process believe in a GPU. */
const pretendGpu = () => vi.mocked(deviceFacts).mockImplementation(() => machineWith([H200]))
const onCpu = () => vi.mocked(deviceFacts).mockImplementation(() => machineWith([]))

describe('the device of a run', () => {
  it('is the first thing that it says, with the reason, and is recorded', async () => {
    onCpu()
    const { lines } = await workshop.train('said', SHORT)
    expect(lines[0]).toBe('device cpu (training.device: auto; LibTorch 2.11.0 has CUDA and sees no device)')
    const named = await workshop.train('named', [...SHORT, 'training.device=cpu'])
    expect(named.lines[0]).toBe('device cpu (training.device: cpu)')
    const { engine } = JSON.parse(readFileSync(workshop.file('runs/said/provenance.json'), 'utf8'))
    expect(engine).toMatchObject({ device: 'cpu', products: 'float32' })
  })

  it('that is not there ends it before anything is written', async () => {
    pretendGpu()
    const error = await workshop.failure('absent', [...SHORT, 'training.device=cuda:7'])
    expect(error).toMatchObject({ code: 'DEVICE_NOT_FOUND', exitCode: 2 })
    expect(existsSync(workshop.file('runs/absent/run.json'))).toBe(false)
  })

  it('may be another when it goes on, and a line says what that means', async () => {
    onCpu()
    const provenance = path.join(workshop.runFolder('moved'), 'provenance.json')
    const steps = ['training.max_steps=3', 'evaluation={}']
    await workshop.train('moved', steps, { stopAfterStep: 1 })
    const recorded = JSON.parse(readFileSync(provenance, 'utf8'))
    writeFileSync(
      provenance,
      JSON.stringify({ ...recorded, engine: { ...recorded.engine, device: H200.name, products: 'float32' } }),
    )
    const device = 'training.device=cpu'
    const { lines } = await workshop.train('moved', [...steps, device], { stopAfterStep: 2 })
    expect(lines.filter((line) => line.startsWith('from step'))).toEqual([
      'from step 1 on cpu with products in float32, before on NVIDIA H200 in float32: the same run to float32 rounding, not to the bit',
    ])
    // The last process was on the CPU, whatever the first one was on.
    const again = await workshop.train('moved', [...steps, device])
    expect(again.lines.filter((line) => line.startsWith('from step'))).toEqual([])
  })
})

describe('an evaluation whose rows are chosen by memory', () => {
  it('finds in a run what fixed rows find', async () => {
    onCpu()
    const set = (rows: string) => [
      'training.max_steps=2',
      'data.val_set_size=6',
      `evaluation.per_device_eval_batch_size=${rows}`,
    ]
    const fixed = (await workshop.train('fixed', set('2'))).outcome
    const chosen = (await workshop.train('chosen', set('auto'))).outcome
    expect(chosen.evaluation!.all.bits_per_byte).toBeCloseTo(fixed.evaluation!.all.bits_per_byte!, 5)
    expect(chosen.validation!.eval_loss).toBeCloseTo(fixed.validation!.eval_loss!, 5)
  })
})

describe.skipIf(buildInfo().libtorchHasCuda)('a GPU that is not really there', () => {
  // LibTorch itself names the device that it is asked for.
  const CUDA = /CUDA/

  it('is where a run makes its model', async () => {
    pretendGpu()
    await expect(workshop.train('on-gpu', SHORT)).rejects.toThrow(CUDA)
    await expect(workshop.train('at-one', [...SHORT, 'training.device=cuda'])).rejects.toThrow(CUDA)
    await workshop.train('on-cpu', [...SHORT, 'training.device=cpu'])
  })

  it('is where a run loads its model, its checkpoint and a reference', async () => {
    onCpu()
    await workshop.train('base', SHORT)
    const folder = path.join(workshop.runFolder('base'), 'model')
    await workshop.train('stopped', SHORT, { stopAfterStep: 1 })
    pretendGpu()
    await expect(workshop.train('tuned', [...SHORT, `model={ path: "${folder}" }`])).rejects.toThrow(CUDA)
    await expect(workshop.train('stopped', SHORT)).rejects.toThrow(CUDA)
    const method = `method={ preset: rho-1, signal: { reference: "${folder}" } }`
    const lines: string[] = []
    const onLine = (line: string) => lines.push(line)
    await expect(workshop.train('referred', [...SHORT, method], { onLine })).rejects.toThrow(CUDA)
    // It ended there, not at the model of the run.
    expect(lines.filter((line) => line.startsWith('preparation of'))).toEqual([])
  })

  it('is where a model is measured and anchors are embedded', async () => {
    onCpu()
    await workshop.train('measured', SHORT)
    const model = workshop.runFolder('measured')
    const loaded = await loadConfig(workshop.file('run.yaml'), { set: SHORT })
    const look = (place?: string) =>
      inspectAnchors({
        ...loaded,
        samples: 8,
        onProgress: () => {},
        ...(place === undefined ? {} : { model: place }),
      })
    pretendGpu()
    const texts = [workshop.file('held-out.jsonl')]
    await expect(evaluateModelFolder({ model, texts })).rejects.toThrow(CUDA)
    await expect(look()).rejects.toThrow(CUDA)
    await expect(look(model)).rejects.toThrow(CUDA)
    expect((await evaluateModelFolder({ model, texts, device: 'cpu' })).all.tokens).toBeGreaterThan(0)
  })
})
