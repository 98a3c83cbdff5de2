import { join } from 'node:path'
import type { RunConfig } from '../config/index.js'
import { HostileFileError } from '../errors.js'
import { currentEvents, type RunEvent, readEvents, type StepRecord } from '../record/index.js'
import { computeRunFigures } from '../report/run-figures.js'
import { toReportRun } from '../run-report/index.js'
import type { CellRecord, RunCost, TrunkRecord } from './cell-record.js'
import { summarizeTasks } from './summarize-tasks.js'

export interface SummaryContext {
  readonly config: RunConfig
  readonly folder: string
  readonly hash: string
  readonly versions: Readonly<Record<string, string>>
}

/** What a finished run folder says, beyond its identity. */
interface RunSummary {
  readonly steps: readonly StepRecord[]
  readonly cost: RunCost
  readonly figures: ReturnType<typeof computeRunFigures>
  readonly events: readonly RunEvent[]
}

function summarize({ config, folder }: SummaryContext, before: RunCost | undefined): RunSummary {
  const { events } = readEvents(join(folder, 'events.jsonl'))
  const current = currentEvents(events)
  const steps = current.filter((event): event is StepRecord => event.type === 'step')
  const evaluations = current.filter((event) => event.type === 'evaluation')
  const figures = computeRunFigures(toReportRun('', config, steps, evaluations))
  // A branch goes on counting where its trunk ended.
  const cost = {
    flops_train: figures.flopsTrain - (before?.flops_train ?? 0),
    flops_signal: figures.flopsSignal - (before?.flops_signal ?? 0),
    flops_preparation: events.findLast((event) => event.type === 'prepared')?.flops ?? 0,
    tokens: figures.tokens,
    seconds: figures.trainSeconds,
  }
  return { steps, cost, figures, events: current }
}

/** @throws {HostileFileError} when the log of the run is damaged or has no evaluation. */
export function summarizeCell(
  context: SummaryContext & {
    readonly arm: string
    readonly seed: number
    readonly targets: readonly string[]
    readonly trunk?: TrunkRecord
  },
): CellRecord {
  const { arm, seed, hash, config, versions, targets, trunk, folder } = context
  const { steps, cost, figures, events } = summarize(context, trunk?.cost)
  if (figures.bitsPerByte.size === 0) {
    throw new HostileFileError(
      'NO_EVALUATION',
      `${folder}: expected an evaluation in events.jsonl, found none`,
    )
  }
  const total = (share: 'mass' | 'uniform') =>
    targets.length === 0
      ? null
      : targets.reduce((sum, target) => sum + (figures.shares.get(target)?.[share] ?? 0), 0)
  const targetMass = total('mass')
  const targetShare = total('uniform')
  const bySource = (share: 'mass' | 'uniform') =>
    Object.fromEntries([...figures.shares].map(([source, shares]) => [source, shares[share]]))
  const tasks = summarizeTasks(folder, events)
  return {
    schema_version: 2,
    arm,
    seed,
    hash,
    method: { ...config.method },
    steps: steps.length,
    bits_per_byte: Object.fromEntries(figures.bitsPerByte),
    ...(tasks.length === 0 ? {} : { tasks }),
    edr: finite(figures.edr),
    ess_ratio: finite(figures.essRatio),
    mass_by_source: bySource('mass'),
    uniform_mass_by_source: bySource('uniform'),
    target_mass: targetMass,
    target_share: targetShare,
    target_lift: targetMass === null || !targetShare ? null : targetMass / targetShare,
    cost,
    cost_with_trunk: trunk ? addCosts(cost, trunk.cost) : cost,
    versions: { ...versions },
    finished: new Date().toISOString(),
  }
}

export function summarizeTrunk(
  context: SummaryContext & { readonly seed: number; readonly digest: string },
): TrunkRecord {
  const { seed, hash, digest, versions } = context
  const { steps, cost } = summarize(context, undefined)
  return {
    schema_version: 1,
    seed,
    hash,
    digest,
    steps: steps.length,
    cost,
    versions: { ...versions },
    finished: new Date().toISOString(),
  }
}

function addCosts(a: RunCost, b: RunCost): RunCost {
  return {
    flops_train: a.flops_train + b.flops_train,
    flops_signal: a.flops_signal + b.flops_signal,
    flops_preparation: a.flops_preparation + b.flops_preparation,
    tokens: a.tokens + b.tokens,
    seconds: a.seconds + b.seconds,
  }
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
