import { writeFileSync } from 'node:fs'
import type { ComparisonOutcome, Study } from '../../compare/index.js'
import { printable } from '../../dataset/index.js'
import { ConfigError, EXIT } from '../../errors.js'
import type { CliIo } from '../terminal/cli-io.js'
import { createProgress, formatDuration, type Progress } from '../terminal/progress.js'
import { escapeJson } from '../terminal/render-json.js'
import { renderTable } from '../terminal/render-table.js'
import type { SafeStream } from '../terminal/safe-stream.js'
import { shortenPath } from '../terminal/shorten-path.js'

export interface CompareOptions {
  readonly only?: readonly string[]
  readonly set?: readonly string[]
  readonly dryRun?: boolean
  readonly json?: string
  readonly markdown?: string
  readonly csv?: string
  readonly quiet?: boolean
}

/** `adapt compare STUDY`; returns the exit code. */
export async function compareCommand(path: string, options: CompareOptions, io: CliIo): Promise<number> {
  const { loadStudy, runComparison, renderCsv, renderJson, renderMarkdown, writeComparisonReport } =
    await import('../../compare/index.js')
  const study = await loadStudy(path, {
    env: io.env,
    ...(options.set === undefined ? {} : { set: options.set }),
  })
  await requireResultFiles(path, study, options)
  const told = options.json === '-' ? io.stderr : io.stdout
  const teller = new CellTeller(told, options.quiet === true)
  const outcome = await runComparison({
    study,
    dryRun: options.dryRun === true,
    ...(options.only === undefined ? {} : { only: options.only }),
    onLine: (line) => teller.line(line),
    onCell: (start) => teller.cell(start),
    onStep: (record, lastStep) => teller.step(record, lastStep),
  }).finally(() => teller.done())
  for (const warning of outcome.warnings) io.stderr.line(`warning: ${warning}`)
  if (options.dryRun === true) {
    told.write(renderStates(outcome))
    return EXIT.done
  }
  const { comparison, cells, failures } = outcome
  told.write(await renderText(outcome))
  if (options.json === '-') io.stdout.write(escapeJson(renderJson(comparison, cells)))
  else if (options.json !== undefined) writeResult(options.json, renderJson(comparison, cells), '--json')
  if (options.markdown !== undefined) writeResult(options.markdown, renderMarkdown(comparison), '--markdown')
  if (options.csv !== undefined) writeResult(options.csv, renderCsv(comparison, cells), '--csv')
  if (cells.length > 0) told.write(`report  ${shortenPath(writeComparisonReport(outcome))}\n`)
  return failures.length > 0 ? EXIT.numeric : EXIT.done
}

/** Shows which cell is trained, how far it is, and how long the rest will take. */
class CellTeller {
  private progress: Progress | undefined
  private since = performance.now()

  constructor(
    private readonly stream: SafeStream,
    private readonly isQuiet: boolean,
  ) {}

  line(text: string): void {
    if (this.isQuiet && !text.startsWith('warning')) return
    if (this.progress) this.progress.line(text)
    else this.stream.line(text)
  }

  cell(start: {
    number: number
    total: number
    arm: string
    seed: number
    lastStep: number | undefined
  }): void {
    this.done()
    const { number, total, arm, seed } = start
    if (this.isQuiet) return
    if (number === 1) this.since = performance.now()
    // Cells differ in length (a trunk has more steps), so this is a rough figure.
    const perCell = (performance.now() - this.since) / 1000 / (number - 1)
    const left = number > 1 ? `, about ${formatDuration(perCell * (total - number + 1))} left` : ''
    this.stream.write('\n')
    this.stream.line(`cell ${number} of ${total}: ${arm}, seed ${seed}${left}`)
  }

  step(record: Parameters<Progress['step']>[0], lastStep: number): void {
    if (this.isQuiet) return
    this.progress ??= createProgress({
      totalSteps: lastStep,
      loggingSteps: Math.max(1, Math.round(lastStep / 5)),
      stream: this.stream,
      isTty: this.stream.isTTY === true,
    })
    this.progress.step(record)
  }

  done(): void {
    this.progress?.done()
    this.progress = undefined
  }
}

function renderStates({ states, folder }: ComparisonOutcome): string {
  const rows = states.map(({ arm, seed, state }) => [arm, String(seed), state])
  const open = states.filter(({ state }) => state !== 'finished').length
  const table = renderTable(
    [{ heading: 'arm' }, { heading: 'seed', isNumeric: true }, { heading: 'state' }],
    rows,
  )
  return `${table}\n${open} of ${states.length} cells would be trained, in ${shortenPath(folder)}\n`
}

async function renderText({ comparison, failures }: ComparisonOutcome): Promise<string> {
  const { comparisonTables } = await import('../../compare/index.js')
  const tables = comparisonTables(comparison).map(
    ({ title, about, columns, rows }) =>
      `\n${printable(title)}\n${printable(about, 1000)}\n${renderTable(columns, rows)}`,
  )
  const failed = failures.map(
    ({ arm, seed, message }) => `failed: ${printable(arm)}, seed ${seed}: ${printable(message, 2000)}`,
  )
  const notes = [...failed, ...comparison.cautions]
  return `${tables.join('')}${notes.length > 0 ? `\n${notes.join('\n')}\n` : ''}`
}

/** Found out before anything is trained. */
async function requireResultFiles(
  path: string,
  study: Study,
  { json, markdown, csv }: CompareOptions,
): Promise<void> {
  const files = Object.entries({
    '--json': json === '-' ? undefined : json,
    '--markdown': markdown,
    '--csv': csv,
  })
  if (files.every(([, file]) => file === undefined)) return
  const { configInputs, requireNoInput } = await import('../../open/index.js')
  const { planCells } = await import('../../compare/index.js')
  const inputs = [
    { key: 'the study', path },
    { key: 'base', path: study.basePath },
  ]
  // An arm may read what the base does not.
  for (const { config, baseDir } of (await planCells(study)).seeds[0]!.cells)
    inputs.push(...(await configInputs(config, baseDir)))
  for (const [option, file] of files) if (file !== undefined) requireNoInput(option, file, inputs)
}

function writeResult(path: string, text: string, option: string): void {
  try {
    writeFileSync(path, text)
  } catch (cause) {
    const message = `${option}: cannot write ${path} (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`
    throw new ConfigError('NOT_WRITABLE', message, { path }, { cause })
  }
}
