import { relative, resolve } from 'node:path'
import { loadConfig } from '../../config/index.js'
import type { Evaluation } from '../../eval/index.js'
import type { ReportRun } from '../../report/index.js'
import type { TrainingOutcome } from '../../run/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { createProgress } from '../terminal/progress.js'
import { formatCount, renderTable } from '../terminal/render-table.js'

/** The methods that are compared; the first is what the others are measured against. */
const METHODS = [
  { name: 'uniform', preset: 'uniform', label: 'uniform' },
  { name: 'adapt-paper', preset: 'adapt-paper', label: 'ADAPT, as in the paper' },
  { name: 'adapt-calibrated', preset: 'adapt-calibrated', label: 'ADAPT, centred, ESS 0.95' },
] as const

export interface QuickstartOptions {
  /** Config whose method is replaced. */
  readonly config: string
  readonly outputDir: string
  /** Source that the anchors were taken from, and the source of noise; the rest are "other". */
  readonly anchoredSource: string
  readonly noiseSource: string
  readonly set?: readonly string[]
}

interface FinishedRun extends TrainingOutcome {
  readonly label: string
  readonly seconds: number
}

/** Trains the same model on the same data three times, with three methods, and shows what became of it. */
export async function quickstartCommand(options: QuickstartOptions, io: CliIo): Promise<void> {
  const { runTraining } = await import('../../run/index.js')
  const { readReportRun } = await import('../../run-report/index.js')
  const { StopRequest } = await import('../../run/index.js')
  const { writeReport } = await import('../../report/index.js')
  const runs: FinishedRun[] = []
  const reportRuns: ReportRun[] = []
  const started = performance.now()
  // One for all three, so that a signal between two of them counts too.
  using stop = new StopRequest()
  for (const { name, preset, label } of METHODS) {
    io.stdout.write(`\n${label}\n`)
    const { config, baseDir } = await loadConfig(options.config, {
      set: [...(options.set ?? []), `method=${preset}`],
      outputDir: `${options.outputDir}/${name}`,
      env: io.env,
    })
    const progress = createProgress({
      totalSteps: config.training.max_steps ?? 0,
      loggingSteps: config.training.logging_steps,
      stream: io.stdout,
      isTty: io.stdout.isTTY === true,
      explains: name === METHODS[0].name,
    })
    const start = performance.now()
    const outcome = await runTraining({
      config,
      baseDir,
      overwrite: true,
      stop,
      onLine: (line) => progress.line(line),
      onStep: (record) => progress.step(record),
      onEvaluation: (numDone, step) => progress.evaluation(numDone, step),
    }).finally(() => progress.done())
    runs.push({ ...outcome, label, seconds: (performance.now() - start) / 1000 })
    reportRuns.push(await readReportRun(outcome.outputDir, { name: label, baseDir }))
  }
  const note =
    'One seed proves nothing: differences of this size need several seeds and a noise floor before they mean anything.'
  const reportPath = resolve(options.outputDir, 'report.html')
  const about =
    'The same small Llama, branched from one base model, trained on the same samples in the same order with three methods.'
  writeReport(reportPath, { title: 'ADAPT quickstart', runs: reportRuns, notes: [about] })
  io.stdout.write(`\n${renderComparison(runs, options)}\n${note}\n`)
  io.stdout.write(`training took ${((performance.now() - started) / 1000).toFixed(0)} s\n`)
  io.stdout.write(`report  ${relative(process.cwd(), reportPath)}\n`)
}

/** Bits per byte averaged over sources, each source counting the same. */
function meanBitsPerByte(evaluation: Evaluation | undefined, includes: (source: string) => boolean): number {
  const values = Object.entries(evaluation?.sources ?? {}).flatMap(([name, { bits_per_byte }]) =>
    includes(name) && bits_per_byte !== null ? [bits_per_byte] : [],
  )
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function renderComparison(
  runs: readonly FinishedRun[],
  { anchoredSource, noiseSource }: QuickstartOptions,
): string {
  const groups: readonly [string, (source: string) => boolean][] = [
    [`anchored (${anchoredSource})`, (source) => source === anchoredSource],
    ['other', (source) => source !== anchoredSource && source !== noiseSource],
    [noiseSource, (source) => source === noiseSource],
  ]
  const reference = runs[0]!
  const cell = (run: FinishedRun, includes: (source: string) => boolean) => {
    const value = meanBitsPerByte(run.evaluation, includes)
    if (run === reference) return value.toFixed(4)
    const difference = value - meanBitsPerByte(reference.evaluation, includes)
    return `${value.toFixed(4)} (${difference > 0 ? '+' : ''}${difference.toFixed(4)})`
  }
  const mean = (run: FinishedRun, pick: (step: TrainingOutcome['steps'][number]) => number) =>
    run.steps.reduce((sum, step) => sum + pick(step), 0) / run.steps.length
  const rows = runs.map((run) => {
    const last = run.steps.at(-1)!
    return [
      run.label,
      ...groups.map(([, includes]) => cell(run, includes)),
      mean(run, ({ weightMean }) => weightMean).toFixed(3),
      mean(run, ({ essRatio }) => essRatio).toFixed(3),
      last.flopsTrain.toExponential(2),
      last.flopsSignal.toExponential(2),
      formatCount(run.steps.reduce((sum, { numTokensProcessed }) => sum + numTokensProcessed, 0)),
      `${run.seconds.toFixed(0)} s`,
    ]
  })
  const numeric = (heading: string) => ({ heading, isNumeric: true })
  const headings = [
    ...groups.map(([name]) => name),
    'EDR',
    'ESS',
    'FLOPs train',
    'FLOPs signal',
    'tokens',
    'time',
  ]
  return `bits per byte of held-out text (lower is better; in brackets the difference to uniform)\n${renderTable(
    [{ heading: 'method' }, ...headings.map(numeric)],
    rows,
  )}`
}
