import { join } from 'node:path'
import { createGate, type GateConfig, partsOf, resolveNormalizer } from '../catalog/index.js'
import type { Environment, RunConfig } from '../config/index.js'
import { readRegular } from '../dataset/regular-file.js'
import { ConfigError } from '../errors.js'
import type { Normalizer } from '../loss/index.js'
import { NORMALIZERS } from '../loss/index.js'
import { currentEvents, LedgerSteps, type RunEvent, readEvents, readLedger } from '../record/index.js'
import { GateReplay } from './gate-replay.js'
import {
  DifferenceTally,
  type WeightDifferences,
  type WeightFigures,
  WeightTally,
} from './weight-comparison.js'
import { loadWhatIfConfigs } from './what-if-config.js'

/** Which run, and what to change of its gate. */
export interface WhatIfRequest {
  /** Folder of a run, finished or not. */
  readonly runFolder: string
  /** Assignments such as `method.gate.temperature=0.1`. */
  readonly set: readonly string[]
  /** Environment for `${NAME}` in them. Default `process.env`. */
  readonly env?: Environment
  /** Called now and then with the step that was reached and that of the run's last record. */
  readonly onProgress?: (step: number, lastStep: number) => void
}

/** The weights of a run and those of another gate on the same scores. */
export interface WhatIf {
  readonly firstStep: number
  readonly lastStep: number
  readonly steps: number
  /** Samples with labels in all steps; the figures are about these. */
  readonly rows: number
  /** Different samples among them. */
  readonly samples: number
  readonly recorded: WeightFigures & { readonly gate: GateConfig; readonly normalizer: Normalizer }
  readonly whatIf: WeightFigures & { readonly gate: GateConfig; readonly normalizer: Normalizer }
  /** Recorded weights against those of the other gate. */
  readonly differences: WeightDifferences
  /** Recorded weights against those that the RECORDED gate gives in this replay: how much the replay can be trusted. */
  readonly replay: Pick<WeightDifferences, 'maxDifference' | 'meanDifference'>
}

/**
 * Derives from a run's ledger which weights another gate would have given to the scores of that run, by feeding them
 * to that gate step by step. The scores stay those of the recorded run: a model that was trained with other weights
 * would have scored differently, so this shows what a gate does, not where a run would have ended.
 *
 * Gates without memory are derived exactly. A gate that is solved again at a refresh of the signal is approximated
 * there, because the new scores of remembered samples are not recorded; `replay` says how well.
 *
 * @throws {ConfigError} NOT_A_RUN, LEDGER_MISSING, NOT_DERIVABLE (another signal, for one), INVALID_CONFIG.
 * @throws {HostileFileError} LEDGER_DAMAGED, EVENT_LOG_DAMAGED.
 * @example
 * const { recorded, whatIf } = await deriveWhatIf({ runFolder: 'runs/first', set: ['method.gate.temperature=0.1'] })
 */
export async function deriveWhatIf(request: WhatIfRequest): Promise<WhatIf> {
  const { runFolder, set, onProgress } = request
  const { recorded, changed } = await loadWhatIfConfigs(runFolder, set, request.env)
  const events = currentEvents(readEvents(join(runFolder, 'events.jsonl')).events)
  const isPlainText = findNormalizer(recorded, events).startsWith('token')
  const normalizerOf = ({ method }: RunConfig) => resolveNormalizer(method, isPlainText)
  const { seed } = recorded.training
  const context = { totalSteps: totalSteps(runFolder, recorded, events), stepsPerEpoch: 1, isPlainText, seed }
  const replayOf = ({ method }: RunConfig) =>
    new GateReplay(createGate(method, context), context, partsOf(method).view)
  const again = replayOf(recorded)
  const other = replayOf(changed)
  const unitOf = (config: RunConfig) => (normalizerOf(config).startsWith('token') ? 'token' : 'sample')
  const before = new WeightTally(unitOf(recorded))
  const after = new WeightTally(unitOf(changed))
  const differences = new DifferenceTally()
  const replay = new DifferenceTally()

  const refreshes = refreshSteps(recorded, events)
  const lastStep = events.at(-1)?.step ?? 0
  const steps = new LedgerSteps(readLedger(join(runFolder, 'ledger')))
  const samples = new Set<number>()
  let [numSteps, numSeen, first, last, nextRefresh] = [0, 0, 0, 0, 0]
  for (let rows = await steps.next(); rows !== undefined; rows = await steps.next()) {
    const { part, step, begin, end } = rows
    if (part.rank !== 0)
      throw new ConfigError('NOT_DERIVABLE', 'what-if: a ledger of several ranks cannot be replayed')
    const weights = part.weight.subarray(begin, end)
    const whatIf = other.weigh(rows)
    before.add(rows, weights)
    after.add(rows, whatIf)
    differences.add(rows, weights, whatIf)
    replay.add(rows, weights, again.weigh(rows))
    for (let row = begin; row < end; row++) if (part.tokens[row]! > 0) samples.add(part.sample[row]!)
    again.observe(rows)
    other.observe(rows)
    numSeen += end - begin
    numSteps++
    first ||= step
    last = step
    while (nextRefresh < refreshes.length && refreshes[nextRefresh]! < step) nextRefresh++
    if (refreshes[nextRefresh] === step) {
      const until = refreshes[nextRefresh + 1] ?? Number.POSITIVE_INFINITY
      await again.refresh(steps, step, numSeen, until)
      await other.refresh(steps, step, numSeen, until)
    }
    if (numSteps % 500 === 0) onProgress?.(step, Math.max(step, lastStep))
  }
  if (numSteps === 0) {
    throw new ConfigError('NOT_DERIVABLE', `what-if: the ledger of ${runFolder} has no rows yet`)
  }
  const { maxDifference, meanDifference } = replay.differences()
  return {
    firstStep: first,
    lastStep: last,
    steps: numSteps,
    rows: before.rows,
    samples: samples.size,
    recorded: { gate: recorded.method.gate, normalizer: normalizerOf(recorded), ...before.figures() },
    whatIf: { gate: changed.method.gate, normalizer: normalizerOf(changed), ...after.figures() },
    differences: differences.differences(),
    replay: { maxDifference, meanDifference },
  }
}

/**
 * Steps after which scores mean something else. With a centring signal that is the first step too: it is scored
 * before there is a mean.
 */
function refreshSteps({ method: { signal } }: RunConfig, events: readonly RunEvent[]): number[] {
  const steps = new Set(events.filter(({ type }) => type === 'refresh').map(({ step }) => step))
  if (signal.kind === 'model-embedding' && signal.center) steps.add(1)
  return [...steps].sort((a, b) => a - b)
}

/** The normaliser that a run used: its config's, else what it chose from its data, as its log says. */
function findNormalizer({ method }: RunConfig, events: readonly RunEvent[]): Normalizer {
  const start = events.find((event) => event.type === 'run-start')
  const found = NORMALIZERS.find((name) => name === (method.normalizer ?? start?.config.normalizer))
  if (found !== undefined) return found
  throw new ConfigError(
    'NOT_DERIVABLE',
    'what-if: neither config.yaml nor events.jsonl says which normaliser the run used; it is of an older version',
  )
}

/** Length of the run, on which the warm-up of a gate depends. */
function totalSteps(runFolder: string, { training }: RunConfig, events: readonly RunEvent[]): number {
  if (training.max_steps !== undefined) return training.max_steps
  try {
    const state = JSON.parse(readRegular(join(runFolder, 'run.json')).toString('utf8')) as {
      total_steps?: unknown
    }
    if (Number.isSafeInteger(state.total_steps)) return state.total_steps as number
  } catch {
    // A run without its state was stopped while it began or was copied in part; its log still says how far it came.
  }
  return events.at(-1)?.step ?? 0
}
