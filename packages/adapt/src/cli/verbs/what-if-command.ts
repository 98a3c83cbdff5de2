import { printable } from '../../dataset/index.js'
import { WEIGHT_PERCENTS } from '../../record/index.js'
import type { WhatIf } from '../../what-if/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable } from '../terminal/render-table.js'

export interface WhatIfOptions {
  readonly set?: readonly string[]
  readonly json?: boolean
}

/** `adapt what-if RUN --set method.gate.temperature=0.1` */
export async function whatIfCommand(runFolder: string, options: WhatIfOptions, io: CliIo): Promise<void> {
  const { deriveWhatIf } = await import('../../what-if/index.js')
  const showsProgress = io.stderr.isTTY === true
  let outcome: WhatIf
  try {
    outcome = await deriveWhatIf({
      runFolder,
      set: options.set ?? [],
      env: io.env,
      onProgress: (step, lastStep) => {
        if (showsProgress) io.stderr.redrawLine(`step ${formatCount(step)} of ${formatCount(lastStep)}`)
      },
    })
  } finally {
    if (showsProgress) io.stderr.clearLine()
  }
  io.stdout.write(options.json === true ? `${renderJson(toJson(outcome))}\n` : renderWhatIf(outcome))
}

/** Keys as in the other files of a run; a figure that does not exist is null. */
function toJson(outcome: WhatIf) {
  const { recorded, whatIf, differences, replay } = outcome
  const side = ({
    gate,
    normalizer,
    weightMean,
    essRatio,
    weightQuantiles,
    sources,
  }: WhatIf['recorded']) => ({
    gate,
    normalizer,
    weight_mean: weightMean,
    ess_ratio: essRatio,
    weight_quantiles: Object.fromEntries(WEIGHT_PERCENTS.map((percent, i) => [percent, weightQuantiles[i]])),
    sources: Object.fromEntries(
      Object.entries(sources).map(([name, { rows, weightMean, mass }]) => [
        name,
        { rows, weight_mean: weightMean, mass },
      ]),
    ),
  })
  return {
    first_step: outcome.firstStep,
    last_step: outcome.lastStep,
    steps: outcome.steps,
    rows: outcome.rows,
    samples: outcome.samples,
    recorded: side(recorded),
    what_if: side(whatIf),
    rank_correlation: differences.rankCorrelation,
    changed_rows: differences.changedRows,
    changed_samples: differences.changedSamples,
    max_difference: differences.maxDifference,
    mean_difference: differences.meanDifference,
    replay: { max_difference: replay.maxDifference, mean_difference: replay.meanDifference },
  }
}

/** The outcome as tables: the whole, then source by source. */
export function renderWhatIf(outcome: WhatIf): string {
  const { recorded, whatIf, differences, replay } = outcome
  const number = (heading: string) => ({ heading, isNumeric: true })
  const pair = (name: string, a: number, b: number) => [name, a.toFixed(4), b.toFixed(4)]
  const whole = renderTable(
    [{ heading: 'weights' }, number('recorded'), number('what if')],
    [
      pair('mean (EDR)', recorded.weightMean, whatIf.weightMean),
      pair('ESS ratio', recorded.essRatio, whatIf.essRatio),
      ...WEIGHT_PERCENTS.map((percent, i) =>
        pair(quantileName(percent), recorded.weightQuantiles[i]!, whatIf.weightQuantiles[i]!),
      ),
    ],
  )
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`
  const sources = Object.keys(recorded.sources).map((name) => {
    const [a, b] = [
      recorded.sources[name]!,
      whatIf.sources[name] ?? { weightMean: Number.NaN, mass: Number.NaN },
    ]
    const means = [a.weightMean.toFixed(4), b.weightMean.toFixed(4)]
    return [printable(name, 60), formatCount(a.rows), ...means, percent(a.mass), percent(b.mass)]
  })
  const columns = ['rows', 'mean weight', 'what if', 'mass', 'what if'].map(number)
  const lines = [
    `steps ${formatCount(outcome.firstStep)} to ${formatCount(outcome.lastStep)}, ${formatCount(outcome.rows)} rows of ${formatCount(outcome.samples)} samples`,
    `recorded  ${describeGate(recorded)}`,
    `what if   ${describeGate(whatIf)}`,
  ]
  return (
    `${lines.join('\n')}\n\n${whole}\n${renderTable([{ heading: 'source' }, ...columns], sources)}\n` +
    `rank correlation of the weights within a step: ${formatCorrelation(differences.rankCorrelation)}\n` +
    `weight changed by more than 2x: ${formatCount(differences.changedRows)} rows, ${formatCount(differences.changedSamples)} samples\n` +
    `${describeReplay(replay)}\n`
  )
}

function quantileName(percent: number): string {
  return percent === 0 ? 'smallest' : percent === 100 ? 'largest' : `at ${percent}%`
}

function formatCorrelation(correlation: number): string {
  return Number.isNaN(correlation) ? 'none, one side does not vary' : correlation.toFixed(4)
}

function describeGate({ gate: { kind, ...options }, normalizer }: WhatIf['recorded']): string {
  const settings = Object.entries(options).map(([name, value]) => ` ${name}=${value}`)
  return `${kind}${settings.join('')}, ${normalizer}`
}

function describeReplay({ maxDifference, meanDifference }: WhatIf['replay']): string {
  return maxDifference === 0
    ? 'replay: the recorded gate gives exactly the recorded weights'
    : `replay: the recorded gate gives the recorded weights to within ${format(maxDifference)}, on average ${format(meanDifference)}`
}

function format(value: number): string {
  return value.toPrecision(2)
}
