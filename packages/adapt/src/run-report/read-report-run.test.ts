import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Workshop } from '../run/workshop.test.fixture.js'
import { readReportRun } from './read-report-run.js'
import { writeRunReport } from './run-report.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

const METHOD =
  'method={ preset: adapt-calibrated, gate: { ess: 0.8, update_every: 4 }, signal: { refresh_every: 4 } }'
let folder = ''
beforeAll(async () => {
  const { outcome } = await workshop.train('reported', [
    ...[METHOD, 'training.max_steps=12', 'training.report_to=[tensorboard]', 'evaluation.every_steps=6'],
  ])
  folder = outcome.outputDir
})

const textsOf = async (options: { baseDir?: string } = {}) =>
  (await readReportRun(folder, options)).samples!.map(({ text, textNote }) => text ?? textNote ?? '')

describe('the report of a run folder', () => {
  it('gives every source of a uniform run the relative weight 1, in the steps and in the ledger', async () => {
    for (const normalizer of ['token.mean', 'sample.wmean']) {
      for (const packing of [true, false]) {
        const method = `method={ preset: uniform, normalizer: ${normalizer} }`
        const { outcome } = await workshop.train(`uniform-${normalizer}-${packing}`, [
          ...[method, `data.packing=${packing}`, 'training.max_steps=3', 'evaluation={}'],
        ])
        const run = await readReportRun(outcome.outputDir)
        for (const { massBySource, uniformMassBySource } of run.steps)
          expect(massBySource).toEqual(uniformMassBySource)
        for (const { share } of run.ledger!.sources) expect(share.mass).toBe(share.uniform)
        const page = readFileSync(path.join(outcome.outputDir, 'report.html'), 'utf8')
        expect(page).toContain('Every weight is 1: the run is uniform')
      }
    }
  })

  it('says what the run was made from', async () => {
    const { about, anchoredSources } = await readReportRun(folder)
    expect(about).toMatchObject({
      ...{ model: 'llama-1m, from scratch', files: 2, samples: expect.any(Number), anchors: 9 },
      ...{ batchSize: 2, maxLength: 48, learningRate: 0.01, totalSteps: 12, status: 'finished' },
    })
    expect(about!.parameters).toBeGreaterThan(1000)
    expect(anchoredSources).toEqual(['anchors'])
  })

  it('is made from the folder alone', async () => {
    const run = await readReportRun(folder)
    expect(run).toMatchObject({ name: 'reported', restarts: 0, alerts: [] })
    expect(run.steps.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1))
    expect(run.evaluations.map(({ step }) => step)).toEqual([0, 6, 12])
    expect(run.refreshes!.map(({ step }) => step)).toEqual([0, 4, 8])
    expect(run.calibrations!.length).toBeGreaterThan(1)
    expect(run.ledger).toMatchObject({ firstStep: 10, lastStep: 12 })
    expect(run.ledger!.sources.map(({ source }) => source).sort()).toEqual(['code', 'web'])
    expect(run.ledger!.density!.cells.length).toBe(12)
  })

  it('is the one that the run left, but for the event of its end', async () => {
    const left = readFileSync(path.join(folder, 'report.html'), 'utf8')
    const written = await writeRunReport([folder], { path: workshop.file('again.html') })
    expect(readFileSync(written, 'utf8') === left).toBe(true)
  })

  it('shows the samples that stand out with the text that the model saw', async () => {
    const { samples } = await readReportRun(folder)
    expect(samples!.length).toBeGreaterThan(3)
    for (const { id, source, place, text, relativeWeight } of samples!) {
      const [file, line] = place!.split(':') as [string, string]
      const record = readFileSync(workshop.file(file), 'utf8').split('\n')[Number(line) - 1]!
      expect(id.startsWith(place!)).toBe(true)
      expect(file).toBe(`${source}.jsonl`)
      expect(text!.length).toBeGreaterThan(5)
      expect((JSON.parse(record) as { text: string }).text).toContain(text!)
      expect(relativeWeight).toBeGreaterThan(0)
    }
  })

  it('reads several runs into one page, and asks where to write it', async () => {
    const written = await writeRunReport([folder, folder], { path: workshop.file('two.html') })
    expect(readFileSync(written, 'utf8')).toContain('ADAPT runs reported, reported')
    await expect(writeRunReport([folder, folder])).rejects.toMatchObject({
      code: 'OUTPUT_NEEDED',
      exitCode: 2,
    })
  })

  it('refuses a folder that is no run', async () => {
    mkdirSync(workshop.file('no-run'))
    await expect(readReportRun(workshop.file('no-run'))).rejects.toMatchObject({
      code: 'NOT_A_RUN',
      exitCode: 2,
    })
  })

  it('leaves TensorBoard files beside it when the config asks for them', () => {
    expect(existsSync(path.join(folder, 'tensorboard'))).toBe(true)
  })

  describe('without the token cache', () => {
    beforeAll(() => rmSync(workshop.file('cache'), { recursive: true }))

    it('takes the same texts from the data files', async () => {
      const { samples } = await readReportRun(folder)
      expect(samples!.every(({ text }) => text !== undefined)).toBe(true)
      const moved = await textsOf({ baseDir: workshop.root })
      expect(moved).toEqual(samples!.map(({ text }) => text))
    })

    it('says which samples the data no longer has', async () => {
      const web = workshop.file('web.jsonl')
      const lines = readFileSync(web, 'utf8')
      writeFileSync(web, lines.replaceAll(/"text":"[^"]*"/g, '"text":"the data"'))
      appendFileSync(web, 'not JSON at all\n')
      const run = await readReportRun(folder)
      for (const { source, text, textNote } of run.samples!) {
        if (source === 'web') expect(textNote).toContain('The data has changed since the run')
        else expect(text).toBeDefined()
      }
      writeFileSync(web, lines)
    })

    it('says so when data or tokenizer are gone, and is written all the same', async () => {
      for (const text of await textsOf({ baseDir: workshop.file('elsewhere') }))
        expect(text).toContain('The text cannot be read')
      await writeRunReport([folder], { baseDir: workshop.file('elsewhere') })
      expect(readFileSync(path.join(folder, 'report.html'), 'utf8')).toContain('The text cannot be read')
    })
  })

  it('does without ledger and samples of an older run', async () => {
    rmSync(path.join(folder, 'samples.parquet'))
    expect((await textsOf())[0]).toContain('no samples.parquet')
    rmSync(path.join(folder, 'ledger'), { recursive: true })
    const run = await readReportRun(folder)
    expect([run.ledger, run.samples]).toEqual([undefined, undefined])
    await writeRunReport([folder])
  })
})
