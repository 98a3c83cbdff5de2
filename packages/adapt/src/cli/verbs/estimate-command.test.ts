import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { plannedLibTorch } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { safeIo } from '../terminal/cli-io.js'
import {
  type EstimateCommandOptions,
  estimateCommand,
  formatBytes,
  formatDuration,
} from './estimate-command.js'

const examples = fileURLToPath(new URL('../../../../../examples/', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'adapt-estimate-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function estimate(config: string, options: Partial<EstimateCommandOptions> = {}): Promise<string> {
  let text = ''
  const stdout = {
    write(piece: string) {
      text += piece
      return true
    },
  }
  const set = [`data.cache_dir=${folder}`, ...(options.set ?? [])]
  await estimateCommand(
    join(examples, config),
    { mfu: 0.4, ...options, set },
    safeIo({ stdout, stderr: stdout, env: {} }),
  )
  return text
}
const json = async (config: string, options: Partial<EstimateCommandOptions> = {}) =>
  JSON.parse(await estimate(config, { ...options, json: true }))

describe('adapt estimate', () => {
  it("gives the published magnitudes of the paper's setting without weights", async () => {
    const found = await json('paper-instruct.yaml', { samples: 270_679, device: ['h100'] })
    expect(found.parameters).toMatchObject({ total: 6_738_415_616 + 134_217_728, trainable: 134_217_728 })
    expect(found.length).toMatchObject({ steps: 4230, tokens: 2 * 270_679 * 2048 })
    expect(found.flops.plain6N / 4.4823e19).toBeCloseTo(1, 3)
    expect(found.flops.paper8N / 5.9763e19).toBeCloseTo(1, 3)
    const { withoutEmbedding } = found.flops
    // 32,000 tokens of width 4,096, in the embedding and in the head.
    expect(withoutEmbedding.plain6N / found.flops.plain6N).toBeCloseTo(
      1 - (2 * 32_000 * 4096) / 6_738_415_616,
      9,
    )
    expect(withoutEmbedding.signal / found.flops.signal).toBeCloseTo(
      withoutEmbedding.train / found.flops.train,
      9,
    )
    // 6 N of the whole with recomputation over a frozen base, and less than a thousandth for the signal.
    expect(found.flops.train).toBe(6 * found.parameters.total * found.length.tokens)
    expect(found.flops.signal / found.flops.train).toBeLessThan(1e-3)
    expect(found.devices).toMatchObject([{ name: 'H100 SXM', fits: true }])
    expect(found.devices[0].seconds).toBeCloseTo(found.flops.total / (989e12 * 0.4), 0)
  })

  it('says what does not fit, and what checkpointing changes', async () => {
    const set = ['training.gradient_checkpointing=false']
    const plain = await json('paper-instruct.yaml', { set, device: ['4090', 'A100 80GB'] })
    expect(plain.devices.map(({ fits }: { fits: boolean }) => fits)).toEqual([false, true])
    const { plain: without, gradient_checkpointing: checkpointed } = plain.memory_bytes
    expect(without.total).toBe(plain.devices[0].needed_bytes)
    expect(without.activations / checkpointed.activations).toBeGreaterThan(5)
    expect(without.weights).toBe(2 * 6_738_415_616)
  })

  it('knows what ranks share, and what their link costs', async () => {
    const [one, four, linked] = await Promise.all(
      [{}, { ranks: 4 }, { ranks: 4, link: 10 }].map((options) =>
        json('instruct.yaml', { samples: 4000, tflops: 1, ...options }),
      ),
    )
    const { trainable } = one.parameters
    expect(four.ranks).toEqual({ count: 4, bytes_per_step: (2 * 3 * 4 * trainable) / 4 })
    const [alone, shared] = [one, four].map((found) => found.memory_bytes.plain)
    expect([shared.moments, shared.exchange]).toEqual([alone.moments / 4, 4 * trainable])
    expect([shared.gradients, shared.activations]).toEqual([alone.gradients, alone.activations])
    // The same samples in a quarter of the steps and of the time.
    expect(four.length.steps / one.length.steps).toBeCloseTo(1 / 4, 1)
    expect(four.flops.train).toBe(one.flops.train)
    expect(four.devices[0].seconds).toBeCloseTo(four.flops.total / (4 * 0.4e12), 6)
    const wait = linked.devices[0].wait_seconds_per_step
    const half = (8 * four.ranks.bytes_per_step) / 2 / 10e9
    expect(wait).toBeGreaterThanOrEqual(half)
    expect(linked.devices[0].seconds).toBeGreaterThan(four.devices[0].seconds)
    const whole = await json('instruct.yaml', { ranks: 4, set: ['training.sharded_optimizer=false'] })
    expect(whole.memory_bytes.plain.moments).toBe(alone.moments)
    await expect(estimate('instruct.yaml', { link: 10 })).rejects.toThrow(
      '--link: expected --ranks beside it',
    )
  })

  it('takes full fine-tuning and an unknown length', async () => {
    const set = ['model={path: base/model}']
    const text = await estimate('instruct.yaml', { set, tflops: 100, memory: 0.001 })
    expect(text).toContain('length of the run: unknown; give --samples, or run adapt data once\n')
    expect(text).toMatch(/^trained +988,288 {2}100 %$/m)
    expect(text).toMatch(/^your device +100 +1\.00 MB +.* does not fit +[\d,]+ +unknown$/m)
    expect(text).not.toContain('LoRA')
  })

  it('knows a new model by its tokenizer and overrides', async () => {
    const found = await json('first.yaml', { set: ['model.config.hidden_size=64'], device: ['cpu'] })
    expect(found.model).toMatchObject({ vocabSize: 2048, hiddenSize: 64, headDim: 16 })
    expect(found.length).toMatchObject({ steps: 450, tokens: 450 * 16 * 256, basis: 'upper bound' })
  })

  it.each([
    [{ device: ['h900'] }, /^--device: expected one of cpu, RTX 3090, .* received h900;/],
    [{ memory: 80 }, /^--memory: expected --tflops beside it/],
    [{ set: ['model.path=org/none'] }, /^model.path: org\/none is not in the cache of hub models/],
    [{ set: ['model.lora.target_modules=[z_proj]'] }, /^target_modules: "z_proj" matches no linear layer/],
  ])('refuses %j in one line', async (options, message) => {
    const error = (await estimate('paper-instruct.yaml', options).catch(
      (problem) => problem,
    )) as unknown as Error
    expect(error.message).toMatch(message)
    expect(error.message).not.toContain('\n')
  })

  it('answers without loading the engine', async (context) => {
    if (plannedLibTorch()?.hasCuda) context.skip('a LibTorch with CUDA is asked which GPUs there are')
    const watch = `process.on('exit', () => {
      const loaded = process.report.getReport().sharedObjects.filter((name) => /torch[^/]*$/.test(name))
      process.stderr.write(String(loaded.length))
    })`
    const bin = fileURLToPath(new URL('../../../bin/adapt.mjs', import.meta.url))
    const hook = `data:text/javascript,${encodeURIComponent(watch)}`
    const args = ['--import', hook, bin, 'estimate', join(examples, 'paper-instruct.yaml')]
    const stderr = await new Promise((resolve, reject) =>
      execFile(process.execPath, args, (error, _, text) => (error ? reject(error) : resolve(text))),
    )
    expect(stderr).toBe('0')
  })
})

describe('sizes and times', () => {
  it.each([
    [999, '999 B'],
    [1000, '1.00 kB'],
    [13_476_831_232, '13.5 GB'],
    [999_600_000, '1.00 GB'],
  ])('%d bytes are %s', (bytes, expected) => expect(formatBytes(bytes)).toBe(expected))

  it.each([
    [0.25, '0.25 s'],
    [99, '99 s'],
    [5400, '90 min'],
    [86_400, '24 h'],
    [8_640_000, '100 days'],
  ])('%d seconds are %s', (seconds, expected) => expect(formatDuration(seconds)).toBe(expected))
})
