import { readFileSync } from 'node:fs'
import path from 'node:path'
import { mul, noGrad, sigmoid, type Tensor, tensor } from '@adapt-ts/torch'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig, type RunOptions } from '../config/index.js'
import { estimateRun } from '../estimate/index.js'
import {
  type Evidence,
  type Gate,
  NO_STATE,
  type PluginState,
  type Scores,
  type Signal,
  type StepFacts,
} from '../method/index.js'
import { readEvents, readLedger } from '../record/index.js'
import { runTraining } from './run-training.js'
import { train } from './train.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const optionsFor = (name: string, method: RunOptions['method']): RunOptions => ({
  model: {
    init: 'scratch',
    preset: 'llama-1m',
    config: {
      hiddenSize: 16,
      intermediateSize: 24,
      numHiddenLayers: 2,
      numAttentionHeads: 2,
      numKeyValueHeads: 1,
    },
  },
  tokenizer: 'tokenizer',
  data: { train: ['web.jsonl', 'code.jsonl'], maxLength: 48, numWorkers: 0, cacheDir: 'cache' },
  method: method!,
  training: { maxSteps: 6, perDeviceTrainBatchSize: 4, learningRate: 0.01, seed: 1, bf16: false },
  outputDir: workshop.runFolder(name),
})

/** Scores by the loss, and remembers how many batches it has seen. */
class LossSignal implements Signal {
  readonly needs = { tokenLosses: true }
  seen = 0
  score(evidence: Evidence): Tensor {
    this.seen += 1
    return evidence.sampleLoss_S()
  }
  state(): PluginState {
    return { ...NO_STATE, json: { seen: this.seen } }
  }
  load({ json }: PluginState): void {
    this.seen = Number(json.seen)
  }
  dispose(): void {}
}

const slopeGate = (slope: number): Gate => ({
  weights: ({ score }) => noGrad(() => sigmoid(mul(score, slope))),
})

const METHOD = {
  preset: 'uniform',
  signal: { kind: 'custom', name: 'loss' },
  gate: { kind: 'custom', name: 'slope', options: { slope: -0.5 } },
} as const
const parts = (signal = new LossSignal()) => ({
  baseDir: workshop.root,
  signals: { loss: signal },
  gates: { slope: ({ slope }: Readonly<Record<string, unknown>>) => slopeGate(Number(slope)) },
})

async function weightsOf(name: string): Promise<[number, number][]> {
  const found: [number, number][] = []
  for await (const { score, weight } of readLedger(path.join(workshop.runFolder(name), 'ledger')))
    for (const [row, value] of score.entries()) found.push([value, weight[row]!])
  return found
}

describe('a signal and a gate of the caller', () => {
  it('make the weights of a run, as objects or from factories', async () => {
    const signal = new LossSignal()
    const { outputDir, steps } = await train(optionsFor('own', METHOD), parts(signal))
    expect(signal.seen).toBe(6)
    const weights = await weightsOf('own')
    expect(weights.length).toBeGreaterThan(20)
    for (const [score, weight] of weights) expect(weight).toBeCloseTo(1 / (1 + Math.exp(0.5 * score)), 5)
    expect(steps.at(-1)!.flopsSignal).toBe(0)
    expect(readFileSync(path.join(outputDir, 'config.yaml'), 'utf8')).toContain('name: loss')
    expect(readFileSync(path.join(outputDir, 'report.html'), 'utf8')).toContain('signal custom · name loss')
  })

  it('go on after a stop with the state that they left', async () => {
    await train(optionsFor('stopped', METHOD), { ...parts(), stopAfterStep: 4 })
    const signal = new LossSignal()
    const { outputDir } = await train(optionsFor('stopped', METHOD), parts(signal))
    expect(signal.seen).toBe(6)
    const weights = (folder: string) => readFileSync(path.join(folder, 'model', 'model.safetensors'))
    expect(weights(outputDir).equals(weights(workshop.runFolder('own')))).toBe(true)
  })

  it('go together with those of the program and its controls', async () => {
    const gate = { kind: 'sigmoid', temperature: 2 } as const
    await train(optionsFor('mixed', { ...METHOD, gate, shuffle: true }), parts())
    expect(await weightsOf('mixed')).not.toEqual([])
  })

  it('are not the same run under other options', async () => {
    await train(optionsFor('changed', METHOD), { ...parts(), stopAfterStep: 2 })
    const other = { ...METHOD, gate: { ...METHOD.gate, options: { slope: 1 } } }
    await expect(train(optionsFor('changed', other), parts())).rejects.toMatchObject({
      code: 'CONFIG_CHANGED',
    })
  })

  it('are missed by name before a run folder is made, and by a command that has none', async () => {
    const options = optionsFor('missing', METHOD)
    await expect(train(options, { baseDir: workshop.root })).rejects.toMatchObject({
      code: 'NEEDS_CODE',
      exitCode: 2,
      message: expect.stringContaining('method.signal.name: expected a signal called "loss"'),
    })
    await expect(train(options, { ...parts(), gates: { other: slopeGate(1) } })).rejects.toMatchObject({
      message: expect.stringContaining('method.gate.name: expected a gate called "slope"'),
    })
    const config = await loadConfig(path.join(workshop.runFolder('own'), 'config.yaml'))
    await expect(
      runTraining({ ...config, baseDir: workshop.root, overwrite: true, onLine() {}, onStep() {} }),
    ).rejects.toMatchObject({ code: 'NEEDS_CODE' })
    await expect(estimateRun(config.config, workshop.root, { devices: [], mfu: 0.4 })).rejects.toMatchObject({
      code: 'NEEDS_CODE',
    })
    await expect(train(optionsFor('unnamed', { signal: { kind: 'custom' } }), parts())).rejects.toMatchObject(
      { code: 'INVALID_CONFIG', message: expect.stringContaining('method.signal.name') },
    )
  })

  it.each([
    ['signal', METHOD.signal, 3, 0],
    ['gate', METHOD.signal, 0, 3],
    ['gate', { kind: 'constant' }, 0, 1],
  ] as const)('are told by name that a %s gives another number of values than there are samples', async (part, signal, scores, weights) => {
    const some = (count: number, device: string) =>
      tensor(new Float32Array(count).fill(1), [count], { device })
    const options = optionsFor('other-shape', { signal, gate: { kind: 'custom', name: 'slope' } })
    const hooks = {
      baseDir: workshop.root,
      overwrite: true,
      signals: {
        loss: Object.assign(new LossSignal(), {
          score: (evidence: Evidence, { device }: StepFacts) =>
            scores > 0 ? some(scores, device) : evidence.sampleLoss_S(),
        }),
      },
      gates: {
        slope: {
          ...slopeGate(1),
          weights: ({ score }: Scores) => (weights > 0 ? some(weights, score.device) : score),
        },
      },
    }
    await expect(train(options, hooks)).rejects.toMatchObject({
      name: 'RangeError',
      message: expect.stringContaining(`method.${part}: expected one number for each of`),
    })
  })

  it('leave a report of the run that they end', async () => {
    const gate = { ...slopeGate(1), weights: ({ score }: Scores) => mul(score, Number.NaN) }
    const hooks = { ...parts(), gates: { slope: gate } }
    await expect(train(optionsFor('failed', METHOD), hooks)).rejects.toMatchObject({ code: 'NOT_FINITE' })
    const inRun = (name: string) => path.join(workshop.runFolder('failed'), name)
    expect(readFileSync(inRun('report.html'), 'utf8')).toContain('the optimiser did not move')
    expect(readFileSync(inRun('run.json'), 'utf8')).toContain('"failed"')
  })

  it('get the anchors where they are given, and are refused where they need them', async () => {
    let numAnchors = 0
    const signal = (): Signal => ({
      needs: { anchors: true },
      score: ({ batch: { samples } }, { device }) =>
        tensor(new Float32Array(samples.length).fill(1), [samples.length], { device }),
      beforeStep: ({ anchors }) => {
        numAnchors = anchors.reduce((sum, batch) => sum + batch.samples.length, 0)
      },
    })
    const method = { signal: METHOD.signal, gate: { kind: 'identity' } } as const
    const hooks = { baseDir: workshop.root, signals: { loss: signal } }
    await expect(train(optionsFor('no-anchors', method), hooks)).rejects.toMatchObject({ code: 'NO_ANCHORS' })
    const lines: string[] = []
    await train(
      { ...optionsFor('anchors', method), anchors: ['anchors.jsonl'] },
      { ...hooks, onLine: (line) => lines.push(line) },
    )
    expect(numAnchors).toBe(9)
    expect(lines.some((line) => line.includes('not used'))).toBe(false)
    expect(
      readEvents(path.join(workshop.runFolder('anchors'), 'events.jsonl')).events.length,
    ).toBeGreaterThan(6)
  })
})
