import { existsSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { loadConfig, type RunConfig } from '../config/index.js'
import { readRegular } from '../dataset/regular-file.js'
import { AdaptError, ConfigError } from '../errors.js'
import {
  currentEvents,
  type EventLog,
  type RunEvent,
  readEvents,
  readLedger,
  readSamples,
} from '../record/index.js'
import {
  type LedgerSummary,
  type ReportRun,
  type ReportSample,
  type RunAbout,
  type SampleWeight,
  summarizeLedger,
} from '../report/index.js'
import { chooseAnswers } from './choose-answers.js'
import { toReportRun } from './describe-run.js'
import { readTaskSamples, tasksFolder } from './read-task-samples.js'
import { findSampleTexts } from './sample-texts.js'

/** What a run folder does not say, or says differently. */
export interface ReadRunOptions {
  /** Folder that the paths of the run's config are relative to. Default: the one that the run was started with. */
  readonly baseDir?: string
  /** What the run is called. Default: the name of its folder. */
  readonly name?: string
}

/**
 * A run as the report shows it, from its folder: config.yaml and events.jsonl; ledger, samples.parquet and the
 * texts of the samples as far as they are there.
 *
 * @throws {ConfigError} NOT_A_RUN. @throws {HostileFileError} EVENT_LOG_DAMAGED, or a damaged ledger.
 */
export async function readReportRun(folder: string, options: ReadRunOptions = {}): Promise<ReportRun> {
  for (const name of ['config.yaml', 'events.jsonl']) {
    if (!existsSync(join(folder, name)))
      throw new ConfigError('NOT_A_RUN', `${folder}: expected the folder of a run, found no ${name} in it`)
  }
  const { config } = await loadConfig(join(folder, 'config.yaml'))
  const log = readEvents(join(folder, 'events.jsonl'))
  const events = currentEvents(log.events)
  const steps = ofType(events, 'step')
  const name = options.name ?? basename(resolve(folder))
  // A run that went on found the same preparation again.
  const preparation = log.events.findLast((event) => event.type === 'prepared')
  const run: ReportRun = {
    ...toReportRun(name, config, steps, ofType(events, 'evaluation')),
    refreshes: ofType(events, 'refresh'),
    calibrations: ofType(events, 'calibration'),
    policies: ofType(events, 'policy'),
    alerts: ofType(events, 'alert'),
    ...describeTasks(folder, ofType(events, 'tasks')),
    ...(preparation ? { preparation } : {}),
    restarts: countRestarts(log),
    ...describeOrigin(folder, config, log),
  }
  const ledgerFolder = join(folder, 'ledger')
  if (!existsSync(ledgerFolder)) return run
  const ledger = await summarizeLedger(readLedger(ledgerFolder), steps)
  if (ledger === null) return run
  return { ...run, ledger, samples: await describeSamples(folder, ledger, config, options) }
}

/** Benchmark tasks, and single documents of the last evaluation as far as they are there and whole. */
function describeTasks(
  folder: string,
  events: readonly Extract<RunEvent, { type: 'tasks' }>[],
): Pick<ReportRun, 'tasks' | 'taskAnswers'> {
  const last = events.at(-1)
  if (last === undefined) return {}
  const tasks = events.map(({ step, figures }) => ({ step, figures }))
  try {
    const samplesOf = (task: string) => readTaskSamples(tasksFolder(folder, last.step), task)
    return { tasks, taskAnswers: chooseAnswers(last.figures, samplesOf) }
  } catch (error) {
    if (!(error instanceof AdaptError)) throw error
    return { tasks }
  }
}

/** The samples of the two lists with what `samples.parquet` and the data say of them. */
async function describeSamples(
  folder: string,
  { upWeighted, downWeighted }: LedgerSummary,
  config: RunConfig,
  options: ReadRunOptions,
): Promise<ReportSample[]> {
  const chosen = [...upWeighted, ...downWeighted]
  const path = join(folder, 'samples.parquet')
  const known = existsSync(path)
    ? await readSamples(path, new Set(chosen.map(({ index }) => index)))
    : new Map()
  const provenance = readProvenance(folder)
  const baseDir = options.baseDir ?? provenance.baseDir
  const { texts, missing } =
    known.size === 0
      ? { texts: new Map<number, string>(), missing: 'The run has no samples.parquet.' }
      : await findSampleTexts(known, config, baseDir, provenance.fingerprint)
  return chosen.map((sample: SampleWeight) => {
    const { index, ...figures } = sample
    const { id, source, path, line } = known.get(index) ?? { id: `sample ${index}`, source: 'unknown' }
    const text = texts.get(index)
    return {
      ...figures,
      id,
      source,
      ...(path === undefined ? {} : { place: `${path}:${line}` }),
      ...(text === undefined ? { textNote: missing } : { text }),
    }
  })
}

/** What the run was made from, and how far it came. */
function describeOrigin(
  folder: string,
  config: RunConfig,
  { events }: EventLog,
): Pick<ReportRun, 'about' | 'anchoredSources'> {
  const { inputs } = readProvenance(folder)
  const { training, data, model } = config
  const start = events.find((event) => event.type === 'run-start')
  const last = events.findLast((event) => event.type === 'run-start' || event.type === 'run-end')
  const count = (key: string): number | undefined =>
    Number.isSafeInteger(inputs[key]) ? (inputs[key] as number) : undefined
  const about: { -readonly [Key in keyof RunAbout]: RunAbout[Key] | undefined } = {
    started: start?.time,
    model: 'path' in model ? model.path : `${model.preset}, from scratch`,
    parameters: count('parameters'),
    trainedParameters: count('trained_parameters'),
    files: count('files'),
    samples: count('samples'),
    tokens: count('tokens'),
    anchors: count('anchors'),
    batchSize: training.per_device_train_batch_size * training.gradient_accumulation_steps,
    maxLength: data.max_length,
    packing: data.packing,
    learningRate: training.learning_rate,
    schedule: training.lr_scheduler_type,
    totalSteps: readTotalSteps(folder) ?? training.max_steps,
    status: last?.type === 'run-end' ? last.status : undefined,
  }
  const known = Object.fromEntries(Object.entries(about).filter(([, value]) => value !== undefined))
  const sources: unknown = inputs.anchor_sources
  return {
    about: known,
    ...(Array.isArray(sources) && sources.length > 0 ? { anchoredSources: sources.map(String) } : {}),
  }
}

/** The length of the run, which its config may say in epochs only. */
function readTotalSteps(folder: string): number | undefined {
  try {
    const { total_steps } = JSON.parse(readRegular(join(folder, 'run.json')).toString('utf8')) as {
      total_steps?: unknown
    }
    return Number.isSafeInteger(total_steps) ? (total_steps as number) : undefined
  } catch {
    return undefined
  }
}

/** Where the data of a run was, and which it was; runs of older versions do not say where. */
function readProvenance(folder: string): {
  readonly baseDir: string
  readonly fingerprint: string
  readonly inputs: Readonly<Record<string, unknown>>
} {
  try {
    const { base_dir, data, inputs } = JSON.parse(
      readRegular(join(folder, 'provenance.json')).toString('utf8'),
    )
    return {
      baseDir: String(base_dir ?? '.'),
      fingerprint: String(data?.data ?? 'unknown'),
      inputs: { ...inputs },
    }
  } catch {
    return { baseDir: '.', fingerprint: 'unknown', inputs: {} }
  }
}

/** A first start of a run is no restart. */
function countRestarts({ events }: EventLog): number {
  return Math.max(0, events.filter(({ type }) => type === 'run-start').length - 1)
}

function ofType<T extends RunEvent['type']>(
  events: readonly RunEvent[],
  type: T,
): Extract<RunEvent, { type: T }>[] {
  return events.filter((event): event is Extract<RunEvent, { type: T }> => event.type === type)
}
