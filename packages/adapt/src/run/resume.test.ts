import { createHash } from 'node:crypto'
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { currentEvents, type RunEvent, readEvents, readLedger } from '../record/index.js'
import { RunLock } from '../run-folder/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

/** Everything of a method has state here: a centring mean, a reservoir, a histogram, refreshes in the middle. */
const STEPS = 24
const SETTINGS = [
  'method={ preset: adapt-calibrated, signal: { refresh_every: 5 }, gate: { ess: 0.8, update_every: 4 } }',
  // 90 samples: two epoch ends and a half.
  'training={ max_steps: 24, per_device_train_batch_size: 3, gradient_accumulation_steps: 3, learning_rate: 0.01, seed: 1, bf16: false, save_steps: 7 }',
  'data.packing=false',
  'evaluation.every_steps=8',
]

/** What is the same however often a run was stopped: tensors, state and events without clocks. */
async function digest(name: string): Promise<string> {
  const folder = workshop.runFolder(name)
  const hash = createHash('sha256')
  const checkpoint = path.join(folder, 'checkpoints', `step-${STEPS}`)
  for (const file of readdirSync(checkpoint).sort()) hash.update(readFileSync(path.join(checkpoint, file)))
  for (const file of readdirSync(path.join(folder, 'model')).filter((one) => one.endsWith('.safetensors')))
    hash.update(readFileSync(path.join(folder, 'model', file)))
  const { events } = readEvents(path.join(folder, 'events.jsonl'))
  for (const event of currentEvents(events)) {
    if (event.type !== 'run-start' && event.type !== 'run-end')
      hash.update(JSON.stringify(withoutClocks(event)))
  }
  for await (const { step, sample, source, score, weight, loss, tokens } of readLedger(
    path.join(folder, 'ledger'),
  )) {
    // How rows are cut into parts depends on where a run was stopped.
    for (const [row, id] of sample.entries())
      hash.update(
        JSON.stringify([step[row], id, source[row], score[row], weight[row], loss[row], tokens[row]]),
      )
  }
  return hash.digest('hex')
}

function withoutClocks(event: RunEvent): unknown {
  const { time, stepMs, signalMs, tokensPerSecond, refreshMs, ...rest } = event as unknown as Record<
    string,
    unknown
  >
  return [rest, [time, stepMs, signalMs, tokensPerSecond, refreshMs].map((clock) => typeof clock)]
}

const stepsOf = (name: string) =>
  currentEvents(readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events).flatMap((event) =>
    event.type === 'step' ? [event.step] : [],
  )
const readJson = (name: string, file: string): unknown =>
  JSON.parse(readFileSync(path.join(workshop.runFolder(name), file), 'utf8'))

let control = ''
beforeAll(async () => {
  await workshop.train('control', SETTINGS)
  control = await digest('control')
})

describe('a run that was stopped', () => {
  it.each([
    1, 2, 4, 5, 6, 7, 8, 10, 11, 15, 20, 23,
  ])('after step %i ends as if it had not been', async (k) => {
    const name = `stopped-${k}`
    const first = await workshop.train(name, SETTINGS, { stopAfterStep: k })
    expect(first.outcome.stoppedAt).toBe(k)
    expect(readJson(name, 'run.json')).toMatchObject({ status: 'interrupted', step: k })
    const { outcome, lines } = await workshop.train(name, SETTINGS)
    expect(lines.some((line) => line.startsWith(`goes on from step ${k} `))).toBe(true)
    expect(outcome.steps.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1))
    expect(await digest(name)).toBe(control)
  })

  it('while it trained adapters with dropout ends as if it had not been', async () => {
    const model = path.join(workshop.runFolder('control'), 'model')
    const lora = '{ r: 2, lora_dropout: 0.2, target_modules: all-linear }'
    const settings = [...SETTINGS, `model={ path: "${model}", lora: ${lora} }`]
    await workshop.train('lora', settings)
    expect(readdirSync(path.join(workshop.runFolder('lora'), 'model'))).toContain('adapter_model.safetensors')
    expect(
      existsSync(path.join(workshop.runFolder('lora'), 'checkpoints', 'step-24', 'model.safetensors')),
    ).toBe(false)
    const expected = await digest('lora')
    for (const stopAfterStep of [2, 9, 10]) await workshop.train('lora-stopped', settings, { stopAfterStep })
    await workshop.train('lora-stopped', settings)
    expect(await digest('lora-stopped')).toBe(expected)
  })

  it('while it trained adapters goes on with the same model underneath only', async () => {
    const base = path.join(path.dirname(workshop.runFolder('control')), 'base')
    cpSync(path.join(workshop.runFolder('control'), 'model'), base, { recursive: true })
    const settings = [...SETTINGS, `model={ path: "${base}", lora: { r: 2 } }`]
    await workshop.train('other-base', settings, { stopAfterStep: 2 })
    const weights = path.join(base, 'model.safetensors')
    const bytes = readFileSync(weights)
    bytes[bytes.length - 1]! ^= 1
    writeFileSync(weights, bytes)
    const error = await workshop.failure('other-base', settings)
    expect([error.code, error.message]).toEqual(['DATA_CHANGED', expect.stringContaining('\n  base: ')])
  })

  it('many times ends as if it had not been', async () => {
    for (const stopAfterStep of [3, 4, 9, 14, 16, 21])
      await workshop.train('chain', SETTINGS, { stopAfterStep })
    await workshop.train('chain', SETTINGS)
    expect(await digest('chain')).toBe(control)
    expect(readJson('chain', 'provenance.json')).toMatchObject({
      restarts: [3, 4, 9, 14, 16, 21].map((step) => ({ step })),
    })
  })

  it('without a word, as by a power cut, goes on from its last checkpoint', async () => {
    await workshop.train('killed', SETTINGS, { stopAfterStep: 12 })
    // The process died after step 12 with the checkpoint of step 7 as the newest: what it had recorded since is there.
    const folder = workshop.runFolder('killed')
    writeFileSync(path.join(folder, 'checkpoints', 'step-12', 'state.json'), '{}')
    writeFileSync(
      path.join(folder, 'run.json'),
      JSON.stringify({ ...(readJson('killed', 'run.json') as object), status: 'running' }),
    )
    appendFileSync(path.join(folder, 'events.jsonl'), '{"type":"step","step":13')
    const { lines } = await workshop.train('killed', SETTINGS)
    expect(lines.some((line) => line.includes('step-12') && line.includes('state.json'))).toBe(true)
    expect(lines.some((line) => line.startsWith('goes on from step 7 '))).toBe(true)
    expect(await digest('killed')).toBe(control)
    expect(stepsOf('killed')).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1))
  })

  it('before its first checkpoint starts over', async () => {
    const error = await workshop
      .failure('early', SETTINGS, {
        onStep: ({ step }) => {
          if (step === 3) throw Object.assign(new Error('killed'), { code: 'X' })
        },
      })
      .catch((thrown: unknown) => thrown)
    expect(String(error)).toContain('killed')
    expect(readJson('early', 'run.json')).toMatchObject({ status: 'failed', step: 3 })
    await workshop.train('early', SETTINGS)
    expect(await digest('early')).toBe(control)
  })

  it('keeps the checkpoints that it is told to keep', async () => {
    await workshop.train('kept', [...SETTINGS, 'training.save_steps=5', 'training.save_total_limit=3'])
    expect(readdirSync(path.join(workshop.runFolder('kept'), 'checkpoints')).sort()).toEqual([
      'step-15',
      'step-20',
      'step-24',
    ])
  })
})

describe('a stop signal', () => {
  it.each([
    'SIGTERM',
    'SIGUSR1',
    'SIGINT',
  ] as const)('%s saves and ends with exit code 75', async (signal) => {
    const listeners = process.listenerCount(signal)
    const seen: number[] = []
    const error = await workshop.failure(signal, SETTINGS, {
      onStep: ({ step }) => {
        seen.push(step)
        if (step === 3) process.kill(process.pid, signal)
      },
    })
    expect(error).toMatchObject({ code: 'INTERRUPTED', exitCode: 75 })
    expect(error.message).toContain(signal)
    expect(seen).toEqual([1, 2, 3])
    expect(readJson(signal, 'run.json')).toMatchObject({ status: 'interrupted', step: 3 })
    expect(existsSync(path.join(workshop.runFolder(signal), 'failure.json'))).toBe(false)
    expect(process.listenerCount(signal)).toBe(listeners)
    await workshop.train(signal, SETTINGS)
    expect(await digest(signal)).toBe(control)
  })
})

describe('a stop signal during an evaluation', () => {
  it.each([
    ['between steps', 8],
    ['at the end', STEPS],
  ])('%s is heeded at once, and the evaluation is made up for', async (_, step) => {
    const name = `evaluating-${step}`
    const error = await workshop.failure(name, SETTINGS, {
      onStep: (record) => {
        // The loop asks for the signal before the next event: the evaluation is the first to see it.
        if (record.step === step) setImmediate(() => setImmediate(() => process.kill(process.pid, 'SIGTERM')))
      },
    })
    expect(error).toMatchObject({ code: 'INTERRUPTED', exitCode: 75 })
    expect(readJson(name, 'run.json')).toMatchObject({ status: 'interrupted', step })
    await workshop.train(name, SETTINGS)
    expect(await digest(name)).toBe(control)
  })
})

describe('a run that goes on', () => {
  beforeAll(async () => {
    await workshop.train('strict', SETTINGS, { stopAfterStep: 4 })
  })

  it.each([
    ['training.learning_rate=0.02', '  training.learning_rate: 0.01 -> 0.02'],
    ['training.seed=2', '  training.seed: 1 -> 2'],
    ['method=uniform', '  method.preset: "adapt-calibrated" -> "uniform"'],
    ['data.train=[web.jsonl]', '  data.train.1.path: "code.jsonl" -> (absent)'],
    ['anchors=[web.jsonl]', '  anchors.0.path: "anchors.jsonl" -> "web.jsonl"'],
    ['training.max_steps=30', '  training.max_steps: 24 -> 30'],
  ])('refuses another %s with what changed', async (change, said) => {
    const error = await workshop.failure('strict', [...SETTINGS, change])
    expect(error).toMatchObject({ code: 'CONFIG_CHANGED', exitCode: 2 })
    expect(error.message.split('\n')).toContain(said)
    expect(readJson('strict', 'run.json')).toMatchObject({ status: 'interrupted', step: 4 })
  })

  it('refuses data of the same name and size with one other byte', async () => {
    await workshop.train('data', SETTINGS, { stopAfterStep: 4 })
    for (const file of ['web.jsonl', 'anchors.jsonl']) {
      const whole = readFileSync(workshop.file(file), 'utf8')
      writeFileSync(workshop.file(file), whole.replace('model', 'models').replace('reads', 'read'))
      const error = await workshop.failure('data', SETTINGS)
      writeFileSync(workshop.file(file), whole)
      expect(error).toMatchObject({ code: 'DATA_CHANGED', exitCode: 2 })
    }
    await workshop.train('data', SETTINGS)
    expect(await digest('data')).toBe(control)
  })

  it('may log, evaluate, save and read otherwise', async () => {
    await workshop.train('free', SETTINGS, { stopAfterStep: 4 })
    const free = [
      'training.logging_steps=3',
      'training.save_steps=9',
      'training.save_total_limit=1',
      'evaluation.per_device_eval_batch_size=3',
      'data.num_workers=1',
    ]
    const { outcome } = await workshop.train('free', [...SETTINGS, ...free])
    expect(outcome.steps).toHaveLength(STEPS)
  })

  it('waits for no other process', async () => {
    await workshop.train('locked', SETTINGS, { stopAfterStep: 2 })
    using _lock = RunLock.acquire(workshop.runFolder('locked'))
    expect(await workshop.failure('locked', SETTINGS)).toMatchObject({ code: 'RUN_ACTIVE', exitCode: 2 })
  })
})

describe('a branch', () => {
  const from = `training.resume_from_checkpoint=${workshop.runFolder('trunk')}/checkpoints/step-16`
  beforeAll(async () => {
    await workshop.train('trunk', [...SETTINGS, 'method=uniform'], { stopAfterStep: 16 })
  })

  it('with the method of its trunk is the run that was not cut', async () => {
    await workshop.train('whole', [...SETTINGS, 'method=uniform'])
    const { outcome } = await workshop.train('same', [...SETTINGS, 'method=uniform', from])
    expect(outcome.steps.map(({ step }) => step)).toEqual([17, 18, 19, 20, 21, 22, 23, 24])
    const weights = (name: string) =>
      readFileSync(path.join(workshop.runFolder(name), 'model', 'model.safetensors'))
    expect(weights('same').equals(weights('whole'))).toBe(true)
  })

  it('does not take the state of its method under other anchors', async () => {
    await workshop.train('anchored', SETTINGS, { stopAfterStep: 4 })
    const branch = async (name: string, ...set: string[]) => {
      const start = `training.resume_from_checkpoint=${workshop.runFolder('anchored')}/checkpoints/step-4`
      await workshop.train(name, [...SETTINGS, start, ...set], { stopAfterStep: 6 })
      const { events } = readEvents(path.join(workshop.runFolder(name), 'events.jsonl'))
      return events.flatMap((event) => (event.type === 'refresh' ? [event.step] : []))
    }
    // The interval of 5 goes on under the same anchors; others are embedded at once.
    expect(await branch('same-anchors')).toEqual([5])
    expect(await branch('other-anchors', 'anchors=[{ path: anchors.jsonl, limit: 5 }]')).toEqual([4])
  })

  it('is refused when its adapter is not that of the checkpoint, or only one of them has one', async () => {
    const model = (lora: string) =>
      `model={ path: "${path.join(workshop.runFolder('control'), 'model')}"${lora} }`
    const lora = (settings: string) => model(`, lora: ${settings}`)
    await workshop.train('lora-trunk', [...SETTINGS, lora('{ r: 2 }')], { stopAfterStep: 2 })
    const start = `training.resume_from_checkpoint=${workshop.runFolder('lora-trunk')}/checkpoints/step-2`
    const whole = `training.resume_from_checkpoint=${workshop.runFolder('trunk')}/checkpoints/step-16`
    for (const set of [
      [start, lora('{ r: 4 }')],
      [start, lora('{ r: 2, target_modules: [o_proj] }')],
      [start, model('')],
      [start],
      [whole, lora('{ r: 2 }')],
    ]) {
      const error = await workshop.failure('other-adapter', [...SETTINGS, ...set])
      expect(error).toMatchObject({ code: 'CHECKPOINT_DIFFERS', exitCode: 2 })
    }
    const { outcome } = await workshop.train('same-adapter', [...SETTINGS, lora('{ r: 2 }'), start])
    expect(outcome.steps[0]!.step).toBe(3)
  })

  it('is refused from a checkpoint that a new run in its folder would remove', async () => {
    const own = `training.resume_from_checkpoint=${workshop.runFolder('trunk')}/checkpoints/step-16`
    const error = await workshop.failure('trunk', [...SETTINGS, own], { overwrite: true })
    expect(error).toMatchObject({ code: 'INPUT_IN_OUTPUT', exitCode: 2 })
    expect(error.message).toContain('training.resume_from_checkpoint')
    expect(existsSync(path.join(workshop.runFolder('trunk'), 'checkpoints', 'step-16'))).toBe(true)
  })

  it('with another method starts its state anew, and goes on by itself when it is stopped', async () => {
    await workshop.train('branch', [...SETTINGS, from])
    expect(readJson('branch', 'provenance.json')).toMatchObject({
      started_from: expect.stringContaining('trunk/checkpoints/step-16'),
    })
    for (const stopAfterStep of [18, 21]) await workshop.train('cut', [...SETTINGS, from], { stopAfterStep })
    await workshop.train('cut', [...SETTINGS, from])
    expect(await digest('cut')).toBe(await digest('branch'))
  })

  it.each([
    ['training.resume_from_checkpoint=nowhere', 'CHECKPOINT_NOT_FOUND'],
    ['data.train=[web.jsonl]', 'DATA_CHANGED'],
    ['training.seed=2', 'DATA_CHANGED'],
    ['data.packing=true', 'DATA_CHANGED'],
    ['training.per_device_train_batch_size=2', 'BATCH_CHANGED'],
    ['training.max_steps=16', 'NOTHING_LEFT'],
  ])('is refused with %s', async (change, code) => {
    expect(await workshop.failure(code, [...SETTINGS, from, change])).toMatchObject({
      code,
      exitCode: 2,
    })
    expect(existsSync(workshop.runFolder(code))).toBe(false)
  })
})
