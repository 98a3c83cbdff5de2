import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../config/index.js'
import { readSamples } from '../record/index.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { findSampleTexts } from './sample-texts.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

describe('texts of the samples of a run', () => {
  it('are found by what the samples are where a method left samples out, with and without the token cache', async () => {
    const { outcome } = await workshop.train('all', ['training.max_steps=1', 'evaluation={}'])
    const { config, baseDir } = await loadConfig(workshop.file('run.yaml'))
    const places = [3, 10, 40, 89]
    const known = await readSamples(join(outcome.outputDir, 'samples.parquet'), new Set(places))
    const fingerprint = JSON.parse(readFileSync(join(outcome.outputDir, 'provenance.json'), 'utf8')).data
      .data as string
    const textsOf = async (samples: Parameters<typeof findSampleTexts>[0]) => {
      const { texts } = await findSampleTexts(samples, config, baseDir, fingerprint)
      return [...texts.values()]
    }
    const whole = await textsOf(known)
    expect(whole).toHaveLength(places.length)
    const kept = new Map(places.map((place, index) => [index, known.get(place)!]))
    expect(await textsOf(kept)).toEqual(whole)
    rmSync(workshop.file('cache'), { recursive: true })
    expect((await textsOf(kept)).sort()).toEqual([...whole].sort())
  })
})
