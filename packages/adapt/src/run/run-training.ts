import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { FIRST_ROW } from '../batch/index.js'
import { loadTrainingState } from '../checkpoint/index.js'
import { planSteps, type RunConfig, type StepPlan } from '../config/index.js'
import { AdaptError } from '../errors.js'
import type { Evaluation, HeldOutEvaluation } from '../eval/index.js'
import type { Gate } from '../gate/index.js'
import { type CustomParts, needsAnchors } from '../method/index.js'
import { type Artefact, NO_ARTEFACT } from '../method/preparation.js'
import { configInputs, type OrderedData, openInputs, orderData, requireInputsOutside } from '../open/index.js'
import type { StepRecord } from '../record/index.js'
import {
  checkpointBytes,
  checkpointStore,
  findNamedStart,
  findOwnStart,
  inspectRunFolder,
  openRunFolder,
  RunLock,
  RunLog,
  requireRoom,
  requireSameData,
  requireSameSteps,
  type StartPoint,
} from '../run-folder/index.js'
import type { Signal } from '../signal/index.js'
import { type BestEvaluation, BestModel } from './best-model.js'
import { type BuiltTrainer, buildTrainer } from './build-trainer.js'
import { requireMetric } from './require-metric.js'
import { StopRequest } from './stop-request.js'
import { TrainingRun } from './training-run.js'

/** A run and who listens to it. */
export interface TrainingRequest {
  readonly config: RunConfig
  /** Folder that the config's paths are relative to. Absolute. */
  readonly baseDir: string
  /** Replace a run in `output_dir`. Otherwise one that was interrupted goes on, and a finished one is refused. */
  readonly overwrite: boolean
  /** Save a checkpoint after this many steps and return, as a trunk does that others branch from. */
  readonly stopAfterStep?: number
  /** Signals and gates of your own, by the name that the config gives a part of kind `custom`. */
  readonly signals?: CustomParts<Signal>
  readonly gates?: CustomParts<Gate>
  /** Who else may ask for the stop and watches signals over several runs; default: the run watches them itself. */
  readonly stop?: StopRequest
  /** Events worth a line: refreshes, evaluations, alerts. */
  readonly onLine: (line: string) => void
  /** Called once per optimiser step. */
  readonly onStep: (record: StepRecord, totalSteps: number) => void
  /** Called while an evaluation is under way, with the documents and held-out samples that are done. */
  readonly onEvaluation?: (numDone: number, step: number, totalSteps: number) => void
}

/** What a run left. */
export interface TrainingOutcome {
  readonly outputDir: string
  /** Undefined when the report could not be written. */
  readonly reportPath?: string
  /** Every step of the run, those before an interruption too; read from its log when asked for. */
  readonly steps: readonly StepRecord[]
  /** The last evaluation, when there are sets. */
  readonly evaluation?: Evaluation
  /** The last loss on what `data.val_set_size` held out. */
  readonly validation?: HeldOutEvaluation
  /** The best evaluation, where the config compares them (`load_best_model_at_end`, `early_stopping_patience`). */
  readonly best?: BestEvaluation
  /** The step that `stopAfterStep` ended the run at. */
  readonly stoppedAt?: number
}

/**
 * Trains what a config describes and leaves a run folder; goes on with the run that is there when it was interrupted.
 *
 * @throws {AdaptError} INTERRUPTED (exit 75) after a signal: everything is saved and the same call goes on.
 * @throws {ConfigError} RUN_ACTIVE, RUN_EXISTS, NOT_A_RUN, CONFIG_CHANGED, DATA_CHANGED, STEPS_CHANGED and what a config can get wrong.
 */
export async function runTraining(request: TrainingRequest): Promise<TrainingOutcome> {
  const { config, baseDir, onLine } = request
  const runFolder = resolve(config.output_dir)
  using _lock = RunLock.acquire(runFolder)
  using ownStop = request.stop ? undefined : new StopRequest()
  const stop = request.stop ?? ownStop!
  if (ownStop?.warning !== undefined) onLine(`warning: ${ownStop.warning}`)
  const kind = inspectRunFolder(runFolder, request.overwrite)
  // A run that goes on goes on from its own checkpoints, wherever it began.
  const namedInputs = (await configInputs(config, baseDir)).filter(
    ({ key }) => kind === 'new' || key !== 'training.resume_from_checkpoint',
  )
  requireInputsOutside(runFolder, namedInputs)
  const start =
    (kind === 'continue'
      ? findOwnStart(runFolder, config, (error) => onLine(`warning: ${error.message}; an older one is used`))
      : undefined) ?? findNamedStart(config, baseDir)
  const goesOn = `before the first step; ${runFolder} can go on`
  const inputs = await openInputs(config, baseDir, {
    // A signal of the caller's may want those that are given.
    needsAnchors:
      needsAnchors(config.method) || (config.method.signal.kind === 'custom' && config.anchors.length > 0),
    onLine,
    checkStop: () => stop.throwIfRequested(goesOn),
  })
  try {
    await requireMetric(new BestModel(config), inputs)
    const data = orderData(config, inputs, await prepareMethod())
    const plan = planSteps(config, (epoch) => data.rows.numRowsPerEpoch(epoch))
    if (start) {
      requireSameData(start, data.fingerprints, plan)
      requireSameSteps(start, data.rowsFrom(FIRST_ROW), plan, config)
    }
    stop.throwIfRequested(goesOn)
    stop.watchNatively()
    // What can be refused is refused before an older run in the folder is removed.
    const built = startTrainer(request, data, plan, start)
    try {
      return await trainInFolder(request, { data, plan, built, stop, kind, start })
    } finally {
      built.trainer.dispose()
      built.trainer.model.dispose()
    }
  } finally {
    inputs.train.close()
  }
}

/** What the method makes of the data before the order is drawn up: of today's methods none makes anything. */
async function prepareMethod(): Promise<Artefact> {
  return NO_ARTEFACT
}

/** The trainer of a config, as it was at the start point. */
function startTrainer(
  { config, baseDir, signals, gates }: TrainingRequest,
  data: OrderedData,
  plan: StepPlan,
  start: StartPoint | undefined,
): BuiltTrainer {
  const built = buildTrainer(config, baseDir, data, plan, {
    ...(start ? { modelFolder: start.folder } : {}),
    ...(signals ? { signals } : {}),
    ...(gates ? { gates } : {}),
  })
  if (start) {
    // What a method keeps means something under its own config and anchors alone.
    const sameMethod =
      isDeepStrictEqual(start.state.method, config.method) &&
      start.state.fingerprints.anchors === data.fingerprints.anchors
    loadTrainingState(start.folder, start.state, built.trainer, sameMethod)
  }
  return built
}

interface Workplace {
  readonly data: OrderedData
  readonly plan: StepPlan
  readonly built: BuiltTrainer
  readonly stop: StopRequest
  readonly kind: 'new' | 'continue'
  readonly start: StartPoint | undefined
}

async function trainInFolder(request: TrainingRequest, workplace: Workplace): Promise<TrainingOutcome> {
  const { kind, start, plan } = workplace
  const runFolder = resolve(request.config.output_dir)
  const checkpoints = checkpointStore(runFolder)
  const { save_total_limit, load_best_model_at_end } = request.config.training
  requireRoom(
    runFolder,
    checkpointBytes(workplace.built.trainer),
    // The newest stays beside the best one.
    Math.max(save_total_limit, load_best_model_at_end ? 2 : 1),
    checkpoints.steps().length,
  )
  const folder = openRunFolder(runFolder, kind, plan.totalSteps)
  // A run that goes on without a checkpoint of its own goes on from where it began.
  checkpoints.rewind(start?.isOwn === true ? start.state.step : -1)
  const startStep = start?.state.step ?? 0
  await RunLog.prepare(folder, startStep, workplace.data.train)
  const run = new TrainingRun({ ...workplace, request, folder, startStep })
  try {
    return await run.run()
  } catch (error) {
    if (!(error instanceof AdaptError && error.code === 'INTERRUPTED')) await run.recordFailure(error)
    throw error
  } finally {
    run.close()
  }
}
