import { type SampleRecord, type StepRecord, summarizeSamples } from '../record/index.js'
import type { ChartSpec } from './chart-spec.js'
import type { ReportEvaluation, ReportInput, ReportRun, ReportSample } from './report-run.js'

export const SOURCES = ['gsm8k-train', 'wikitext-2', 'cpython', 'novels', 'noise']
export const HOSTILE = `</script><script>globalThis.injected = true</script><img src=x onerror="injected=1">&amp;<!-- \u202e\u0007 \u2028`

/** Repeatable uniform numbers in [0, 1). */
export function createRandom(seed: number): () => number {
  let state = seed + 1
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

interface Shape {
  readonly name: string
  readonly method: string
  readonly seed: number
  readonly steps?: number
  /** Temperature of the gate; null weights everything 1. */
  readonly tau: number | null
  /** Change of the first source's bits per byte. */
  readonly gain: number
}

/** A run that looks like a small pretraining: the loss falls, and the gate learns to tell the sources apart. */
export function createRun({ name, method, seed, steps = 600, tau, gain }: Shape): ReportRun {
  const random = createRandom(seed * 7919 + name.length)
  const normal = (): number => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random())
  const records: StepRecord[] = []
  let samples: SampleRecord[] = []
  for (let step = 1; step <= steps; step++) {
    const progress = step / steps
    samples = Array.from({ length: 16 }, (_, i) => {
      const source = SOURCES[Math.floor(random() * SOURCES.length)]!
      const place = 0.12 - 0.06 * SOURCES.indexOf(source) * progress
      const score = place + 0.05 * normal()
      const weight = tau === null ? 1 : 1 / (1 + Math.exp(-(score + 0.02) / tau))
      const loss = 2.4 + 6 * Math.exp(-8 * progress) + 0.3 * normal() + (source === 'noise' ? 1 : 0)
      return {
        index: step * 16 + i,
        id: `${source}:${step}`,
        source,
        score,
        weight,
        sampleWeight: 1,
        loss,
        tokens: 255,
      }
    })
    const total = samples.reduce((sum, sample) => sum + sample.weight, 0)
    records.push({
      type: 'step',
      step,
      time: 1_750_000_000 + step * 0.4,
      epoch: progress,
      lossWeighted: samples.reduce((sum, sample) => sum + sample.weight * sample.loss, 0) / total,
      lossUnweighted: samples.reduce((sum, sample) => sum + sample.loss, 0) / samples.length,
      gradNorm: 0.6 + 2 * Math.exp(-10 * progress) + 0.1 * Math.abs(normal()),
      learningRate: 1e-3 * Math.min(1, step / 30) * 0.5 * (1 + Math.cos(Math.PI * progress)),
      numTokensProcessed: 4096,
      ...summarizeSamples(samples, { unit: 'token' }),
      tokensPerSecond: 11_000 + 400 * normal(),
      stepMs: 370 + 10 * normal(),
      signalMs: tau === null ? 0 : 4,
      flopsTrain: 6 * 2.2e6 * 4096 * step,
      flopsSignal: tau === null ? 0 : 2 * 2.2e6 * 50 * 128 * Math.ceil(step / 50),
      skipped: false,
    })
  }
  const evaluations: ReportEvaluation[] = [0.25, 0.5, 0.75, 1].map((part) => ({
    step: Math.round(part * steps),
    sources: Object.fromEntries(
      SOURCES.map((source, i) => {
        const bits =
          1.6 + 0.35 * i + 1.5 * Math.exp(-4 * part) + (i === 0 ? gain : -gain / 8) * part + 0.002 * normal()
        return [
          source,
          { bits_per_byte: bits, nats_per_token: bits * 2.5, bytes: 60_000, tokens: 16_000, documents: 40 },
        ]
      }),
    ),
  }))
  const top = samples.slice(0, 8).map(
    (sample, i): ReportSample => ({
      ...sample,
      text:
        i === 0
          ? HOSTILE
          : `${sample.source} says: ${'What is 12 x 7? It is 84, since ten sevens are seventy and two more are fourteen. '.repeat(i)}`,
    }),
  )
  return {
    name,
    method,
    config: { method: method.split(' ')[0]!, seed, learning_rate: 1e-3, max_steps: steps, packing: true },
    steps: records,
    evaluations,
    ...(tau === null ? {} : { samples: top }),
    summary: { 'anchor overlap': 0, 'final tau': tau ?? 'none' },
  }
}

/** What the page's script draws. */
export function embeddedCharts(page: string): ChartSpec[] {
  const [, json] = /<script type="application\/json" id="charts">(.*?)<\/script>/s.exec(page)!
  return JSON.parse(json!) as ChartSpec[]
}

/** Text of the cells of the table row with this head. */
export function cellsOf(page: string, head: string): string[] {
  const plain = page.replace(/<span class="key[^>]*><\/span>|<\/?strong>/g, '')
  const row = plain.split('<tr').find((part) => part.includes(`<th scope="row">${head}`))
  if (row === undefined) throw new Error(`no row ${head}`)
  return [...row.matchAll(/<td[^>]*>(.*?)<\/td>/gs)].map(([, cell]) => cell!.replace(/<[^>]+>/g, ''))
}

export const uniform = createRun({ name: 'uniform', method: 'uniform', seed: 0, tau: null, gain: 0 })
export const paper = createRun({ name: 'adapt', method: 'ADAPT, tau 1', seed: 0, tau: 1, gain: -0.009 })
export const calibrated = createRun({
  name: 'adapt-calibrated',
  method: 'ADAPT, ESS 0.8',
  seed: 0,
  tau: 0.12,
  gain: -0.025,
})
/** Three runs for one page. */
export const input: ReportInput = {
  title: 'Three ways to train 2.2 million parameters',
  runs: [uniform, paper, calibrated],
  notes: ['Pool of 2.5 million tokens, anchors from gsm8k.'],
}
