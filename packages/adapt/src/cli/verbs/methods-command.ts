import {
  describeNeeds,
  EXAMPLE_RUN,
  findMethod,
  METHOD_IDS,
  METHODS,
  type MethodCard,
  methodCard,
  type PartCard,
} from '../../catalog/index.js'
import { suggestName } from '../../config/index.js'
import { printable } from '../../dataset/index.js'
import { ConfigError } from '../../errors.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable, wrapLines } from '../terminal/render-table.js'

export interface MethodsCommandOptions {
  readonly json?: boolean
}

/**
 * `adapt methods [ID]`: what each definition says of itself.
 * @throws {ConfigError} UNKNOWN_PRESET
 */
export function methodsCommand(id: string | undefined, { json }: MethodsCommandOptions, io: CliIo): void {
  if (id === undefined) {
    const cards = METHODS.map((method) => methodCard(method))
    if (json === true) io.stdout.write(`${renderJson(cards)}\n`)
    else io.stdout.write(renderList(cards))
    return
  }
  const method = findMethod(id)
  if (method === undefined) {
    throw new ConfigError(
      'UNKNOWN_PRESET',
      `expected a method, one of ${METHOD_IDS.join(', ')}, received "${printable(id, 60)}"${suggestName(id, METHOD_IDS)}`,
    )
  }
  const card = methodCard(method)
  if (json === true) io.stdout.write(`${renderJson(card)}\n`)
  else io.stdout.write(renderCard(card))
}

function renderList(cards: readonly MethodCard[]): string {
  const rows = cards.map((card) => [
    card.id,
    card.cadence,
    card.unit,
    card.apply,
    describeNeeds(card.needs).join(', ') || 'nothing',
    percent(card.cost.preparation),
    percent(card.cost.signal + card.cost.scoring),
  ])
  const columns = [
    { heading: 'method', canShorten: false },
    ...['scored', 'a score a', 'applied to'].map((heading) => ({ heading })),
    { heading: 'needs', canShorten: true },
    ...['before', 'during'].map((heading) => ({ heading, isNumeric: true })),
  ]
  return `${renderTable(columns, rows)}\n${costNote()}adapt methods ID shows one with its options.\n`
}

/** Which run the percentages are of. */
function costNote(): string {
  const { steps, samples, tokens, anchors } = EXAMPLE_RUN
  return wrapLines(
    `Cost before and during training: FLOPs in % of those of training, for a run of ${formatCount(steps)} steps of several ` +
      `micro-batches that reads ${formatCount(samples)} samples of ${formatCount(tokens / samples)} tokens once, with ${anchors} anchors as long; ` +
      'adapt estimate says it of a config.\n',
    0,
  )
}

function renderCard(card: MethodCard): string {
  const { cost, candidates } = card
  const during = percent(cost.signal + cost.scoring)
  const ofOne =
    cost.scoring === cost.scoringOfOne
      ? ''
      : ` (${percent(cost.signal + cost.scoringOfOne)} with one micro-batch a step on each device)`
  const rows: [string, string][] = [
    ['page', card.page],
    ['scored', SCORED[card.cadence]],
    ['a score a', card.unit],
    ['applied to', APPLIED_TO[card.apply]],
    ['needs', describeNeeds(card.needs).join(', ') || 'nothing'],
    ['cost', `${percent(cost.preparation)} before and ${during} during training${ofOne}`],
    ...(candidates === 1
      ? []
      : [['candidates', `${candidates} rows drawn for each that is trained`] as [string, string]]),
  ]
  const head = rows.map(([name, value]) => `${name.padEnd(11)} ${value}\n`).join('')
  const parts = [renderPart('signal', card.signal), renderPart('gate', card.gate)]
  return `${wrapLines(`${card.id}: ${card.about}\n\n${head}`)}\n${wrapLines(parts.join('\n'), 4)}\n${costNote()}`
}

const SCORED = {
  never: 'never: nothing is measured',
  once: 'once, before training',
  'every U': 'every U steps, by the model as it is then',
  step: 'in every step',
} as const

const APPLIED_TO = {
  loss: 'the loss, which it scales',
  sample: 'what is read next, as shares of the sources or sample by sample',
  mask: 'what is trained at all',
} as const

function renderPart(name: 'signal' | 'gate', { kind, about, options }: PartCard): string {
  const head = `method.${name}.kind: ${kind}\n  ${about}\n`
  const lines = options.map(
    ({ key, type, fallback, help }) =>
      `  ${key}: ${type}, default ${JSON.stringify(fallback)}\n    ${help}\n`,
  )
  return head + (lines.length === 0 ? '  no options\n' : lines.join(''))
}

/** A share, as a percentage of three digits at most. */
function percent(share: number): string {
  if (share === 0) return '0 %'
  const value = 100 * share
  return `${value >= 100 ? value.toFixed(0) : value.toPrecision(2)} %`
}
