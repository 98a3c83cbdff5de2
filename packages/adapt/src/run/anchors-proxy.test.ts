import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
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
