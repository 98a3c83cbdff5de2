import { loadConfig } from '../../config/index.js'
import { printable } from '../../dataset/index.js'
import type { ScoreFormat, ScoreOutcome } from '../../score/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { assignments } from '../terminal/option-parsers.js'
import { formatDuration } from '../terminal/progress.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable } from '../terminal/render-table.js'
import { shortenPath } from '../terminal/shorten-path.js'

export interface ScoreOptions {
  readonly method?: string
  readonly out?: string
  readonly format?: ScoreFormat
  readonly withScore?: boolean
  readonly model?: string
  readonly device?: string
  readonly set?: readonly string[]
  readonly json?: boolean
  readonly quiet?: boolean
}

/** `adapt score CONFIG`: what a method makes of the training data, in a file. */
export async function scoreCommand(path: string, options: ScoreOptions, io: CliIo): Promise<void> {
  const set = options.method === undefined ? [] : [`method=${options.method}`]
  const { config, warnings, baseDir } = await loadConfig(path, {
    env: io.env,
    set: [...set, ...assignments(options)],
  })
  for (const warning of warnings) io.stderr.line(`warning: ${warning}`)
  const { formatOf, scoreData } = await import('../../score/index.js')
  const showsProgress = io.stderr.isTTY === true && options.quiet !== true
  const out = options.out ?? (options.format === 'jsonl' ? 'kept.jsonl' : 'scores.parquet')
  const outcome = await scoreData({
    config,
    baseDir,
    out,
    format: formatOf(out, options.format),
    withScores: options.withScore === true,
    ...(options.model === undefined ? {} : { model: options.model }),
    onLine: (line) => {
      if (showsProgress) io.stderr.clearLine()
      if (options.quiet !== true || line.startsWith('warning')) io.stderr.line(line)
    },
    onProgress: (done, total) => {
      if (showsProgress)
        io.stderr.redrawLine(`weighing: ${formatCount(done)} of ${formatCount(total)} samples`)
    },
  })
  if (showsProgress) io.stderr.clearLine()
  io.stdout.write(options.json === true ? `${renderJson(outcome)}\n` : renderOutcome(outcome))
}

/** The outcome as a table by source, and the place of the file. */
export function renderOutcome(outcome: ScoreOutcome): string {
  const figure = (value: number) => (Number.isFinite(value) ? value.toFixed(4) : '-')
  const share = (part: number, all: number) => `${((100 * part) / Math.max(1, all)).toFixed(1)} %`
  const rows = outcome.sources.map(({ source, samples, kept, tokens, keptTokens, meanScore, meanWeight }) => [
    printable(source, 60),
    formatCount(samples),
    formatCount(kept),
    share(kept, samples),
    share(keptTokens, tokens),
    figure(meanScore),
    figure(meanWeight),
  ])
  const columns = ['samples', 'kept', 'share', 'of tokens', 'mean score', 'mean weight']
  const table = renderTable(
    [{ heading: 'source' }, ...columns.map((heading) => ({ heading, isNumeric: true }))],
    rows,
  )
  const { method, samples, kept, records, prepared, path } = outcome
  const lines = [
    `method ${method}: ${formatCount(kept)} of ${formatCount(samples)} samples kept`,
    ...(prepared
      ? [
          `preparation: ${prepared.isCached ? 'found' : `${formatDuration(prepared.seconds)}, ${prepared.flops.toExponential(2)} FLOPs`}`,
        ]
      : []),
    `${records === undefined ? 'scores' : `${formatCount(records)} records`}: ${shortenPath(path)}`,
  ]
  return `${table}\n${lines.join('\n')}\n`
}
