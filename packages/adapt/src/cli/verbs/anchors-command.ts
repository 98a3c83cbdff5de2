import type { AnchorInspection } from '../../anchors/index.js'
import { loadConfig } from '../../config/index.js'
import { printable } from '../../dataset/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { assignments } from '../terminal/option-parsers.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable } from '../terminal/render-table.js'
import { judgeAnchors } from './anchor-verdicts.js'
import { oneLine, renderOverlap } from './overlap-table.js'

export interface AnchorsOptions {
  readonly model?: string
  readonly samples: number
  readonly set?: readonly string[]
  readonly device?: string
  readonly json?: boolean
}

/** Anchors shown at either end of the list. */
const SHOWN_ANCHORS = 3

/** `adapt anchors CONFIG`: what the anchors are worth. */
export async function anchorsCommand(path: string, options: AnchorsOptions, io: CliIo): Promise<void> {
  const { config, warnings, baseDir } = await loadConfig(path, {
    env: io.env,
    set: assignments(options),
  })
  for (const warning of warnings) io.stderr.line(`warning: ${warning}`)
  const { inspectAnchors } = await import('../../anchors/index.js')
  const { chooseDevice } = await import('../../open/index.js')
  io.stderr.line(chooseDevice(config.training.device).line)
  const showsProgress = io.stderr.isTTY === true
  const found = await inspectAnchors({
    config,
    baseDir,
    samples: options.samples,
    ...(options.model === undefined ? {} : { model: options.model }),
    onProgress: (text) => {
      if (showsProgress) io.stderr.redrawLine(text)
    },
  })
  if (showsProgress) io.stderr.clearLine()
  if (!found.isTrained)
    io.stderr.write('warning: the model is not trained yet; give --model to look through a trained one\n')
  if (options.json === true) io.stdout.write(`${renderJson(found)}\n`)
  else io.stdout.write(renderInspection(found))
}

/** All tables of an inspection. */
export function renderInspection(found: AnchorInspection): string {
  const counts = [
    `model: ${printable(found.model)}`,
    `anchors: ${formatCount(found.numAnchors)}, ${formatCount(found.numTokens)} tokens, ${found.tasks.length === 1 ? '1 task' : `${found.tasks.length} tasks (aggregate ${found.aggregate})`}`,
    `compared with: ${formatCount(found.numSamples)} training samples${found.centered ? ', centred on their mean' : ''}`,
  ]
  const sections = [
    `${counts.join('\n')}\n`,
    found.tasks.length === 1 ? '' : renderTasks(found),
    renderDiagnostics(found),
    renderSources(found),
    renderAnchors(found),
    ...found.contamination.map(({ data, documents, groups }) =>
      renderOverlap(
        `${data === 'training' ? 'training data' : 'anchors'} (${formatCount(documents)})`,
        groups,
      ),
    ),
  ]
  return sections.filter((section) => section !== '').join('\n')
}

const number = (heading: string) => ({ heading, isNumeric: true })

function renderTasks({ tasks }: AnchorInspection): string {
  const rows = tasks.map(({ task, anchors, tokens }) => [
    printable(task, 60),
    formatCount(anchors),
    formatCount(tokens),
  ])
  return renderTable([{ heading: 'task' }, number('anchors'), number('tokens')], rows)
}

function renderDiagnostics(found: AnchorInspection): string {
  const rows = judgeAnchors(found).map(({ name, value, verdict }) => [
    printable(name, 60),
    value.toFixed(4),
    verdict,
  ])
  return renderTable([{ heading: 'diagnostic' }, number('value'), { heading: 'verdict' }], rows)
}

function renderSources({ sources }: AnchorInspection): string {
  const rows = sources.map(({ source, samples, mean, quantiles }) => [
    printable(source, 60),
    formatCount(samples),
    ...[mean, ...quantiles].map((score) => score.toFixed(4)),
  ])
  const columns = ['samples', 'mean score', '5 %', '50 %', '95 %'].map(number)
  return renderTable([{ heading: 'training source, closest first' }, ...columns], rows)
}

function renderAnchors({ anchors }: AnchorInspection): string {
  const row = ({ place, cosine, text }: AnchorInspection['anchors'][number]) => [
    cosine.toFixed(4),
    printable(place, 60),
    oneLine(text),
  ]
  const table = (heading: string, shown: AnchorInspection['anchors']) =>
    renderTable([number('cosine'), { heading }, { heading: 'text', canShorten: true }], shown.map(row))
  if (anchors.length <= 2 * SHOWN_ANCHORS) return table('nearest to the mean first', anchors)
  const nearest = table('nearest to the mean', anchors.slice(0, SHOWN_ANCHORS))
  const farthest = table('farthest from the mean', anchors.slice(-SHOWN_ANCHORS))
  return `${nearest}\n${farthest}`
}
