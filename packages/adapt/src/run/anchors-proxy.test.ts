import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.js'
import type { ProxyRun } from '../method/index.js'
import { openInputs } from '../open/index.js'
import { trainProxy } from '../prepare/index.js'
import { ALONE } from '../ranks.js'
import { readEvents } from '../record/index.js'
import { Workshop } from './workshop.test.fixture.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const FIXTURE = fileURLToPath(new URL('killed-run.test.fixture.js', import.meta.url))
const METHOD =
  'method={ preset: tacs, signal: { epochs_per_unit: 2, path_learning_rate: 0.01, scored: 1 }, gate: { keep: 0.3 } }'
const settings = (cache: string) => [
  METHOD,
  'training={ max_steps: 6, per_device_train_batch_size: 2, learning_rate: 0.01, seed: 1, bf16: false }',
  'evaluation={}',
  `data.cache_dir=${cache}`,
]
const prepared = (name: string) =>
  readEvents(path.join(workshop.runFolder(name), 'events.jsonl')).events.find(
    ({ type }) => type === 'prepared',
  ) as { readonly flops: number; readonly figures: Readonly<Record<string, number>> } | undefined
const modelOf = (name: string) =>
  readFileSync(path.join(workshop.runFolder(name), 'model', 'model.safetensors')).toString('base64')

describe('a method that trains an adapter on the anchors', () => {
  it('leaves the model of the config at its start for the run, and pays for path and scores', async () => {
    const { lines } = await workshop.train('scratch', settings('scratch-cache'))
    // 9 anchors, twice a unit, two units.
    expect(lines.join('\n')).toMatch(/path: step \d+ of 36/)
    const { figures, flops } = prepared('scratch')!
    expect(figures.samples).toBe(27)
    expect(figures.meanFall).toBeGreaterThan(0)
    expect(figures.repeatCorrelation).toBeGreaterThan(0.99)
    expect(flops).toBeGreaterThan(0)
    const folder = workshop.file('scratch-cache/prepared')
    expect(existsSync(path.join(folder, readdirSync(folder)[0]!, 'work'))).toBe(false)
  })

  it('goes on with the path where it was killed, to the same scores, cost and run', async () => {
    const set = [...settings('halves-cache'), `output_dir=${workshop.runFolder('halves')}`]
    const { signal } = spawnSync(
      process.execPath,
      [FIXTURE, workshop.file('run.yaml'), 'SIGKILL', 'path: step', ...set],
      { encoding: 'utf8', timeout: 60_000 },
    )
    expect(signal).toBe('SIGKILL')
    await workshop.train('halves', settings('halves-cache'))
    const { figures, flops } = prepared('scratch')!
    expect(prepared('halves')).toMatchObject({ figures, flops })
    expect(modelOf('halves')).toBe(modelOf('scratch'))
  })

  it('stands beside an adapter of the run itself', async () => {
    const lora = [
      ...settings('lora-cache'),
      `model={ path: ${workshop.runFolder('scratch')}/model, lora: { r: 2, lora_alpha: 4 } }`,
    ]
    await workshop.train('lora', lora)
    expect(prepared('lora')!.figures.meanFall).toBeGreaterThan(0)
    const adapter = workshop.runFolder('lora')
    await workshop.train('more', [
      ...settings('more-cache'),
      `model={ path: ${workshop.runFolder('scratch')}/model, adapter: ${adapter}/model }`,
    ])
    expect(prepared('more')!.figures.meanFall).toBeGreaterThan(0)
  })
})

describe('a proxy on some of the anchors', () => {
  it('trains on all that the record of each of them makes, however it is cut', async () => {
    await workshop.train('some', ['training.max_steps=1', 'evaluation={}'])
    const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), {
      set: ['data.max_length=16', 'anchors=[anchors.jsonl, code.jsonl]', 'data.train=[web.jsonl]'],
    })
    const quiet = { onLine: () => {}, checkStop: () => {} }
    const { anchorOfSample, anchorDocuments, ...inputs } = await openInputs(config, baseDir, {
      needsAnchors: true,
      ...quiet,
    })
    inputs.train.close()
    const run: ProxyRun = {
      ...{ name: 'part', method: 'uniform', data: 'anchors', steps: 1 },
      keep: (place) => place % 3 === 1,
    }
    let kept_P: Uint8Array | undefined
    const start = trainProxy(run, workshop.file('part'), {
      ...{ config, totalSteps: 1, numSamples: inputs.train.numSamples, anchorOfSample, ranks: ALONE },
      trainTo: async (request) => {
        kept_P = request.artefact.kept_P
        const { train } = await openInputs(request.config, baseDir, { needsAnchors: false, ...quiet })
        expect(train.numSamples).toBe(kept_P!.length)
        expect(train.numSamples).toBeGreaterThan(anchorDocuments.length)
        for (const [i, isKept] of kept_P!.entries()) {
          const { path: file, line } = train.origin(i)
          const place = anchorDocuments.findIndex((one) => one.path === file && one.line === line)
          expect([i, isKept]).toEqual([i, place % 3 === 1 ? 1 : 0])
        }
        train.close()
        throw new Error('seen')
      },
    })
    await expect(start).rejects.toThrow('seen')
    expect(kept_P).toContain(1)
  })
})
