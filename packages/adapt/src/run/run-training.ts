import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { FIRST_ROW } from '../batch/index.js'
import { partsOf, requireNeeds } from '../catalog/index.js'
import { loadTrainingState } from '../checkpoint/index.js'
import { planSteps, renderResolvedConfig, type StepPlan } from '../config/index.js'
import { AdaptError, ConfigError } from '../errors.js'
import { NO_ARTEFACT } from '../method/index.js'
import {
  chooseDevice,
  configInputs,
  deviceOfRank,
  explainMemory,
  loadingRemedies,
  type OrderedData,
  openInputs,
  openRunTasks,
  orderData,
  type RunTasks,
  requireInputsOutside,
  trainingRemedies,
} from '../open/index.js'
import {
  checkpointBytes,
  checkpointStore,
  findNamedStart,
  findOwnStart,
  inspectRunFolder,
  openRunFolder,
  RunFolder,
  RunLock,
  RunLog,
  requireRoom,
  requireSameData,
  requireSameDraw,
  requireSameSteps,
  type StartPoint,
  startPoint,
} from '../run-folder/index.js'
import { metricsOfSelection } from '../tasks/index.js'
import { packageVersion } from '../version.js'
import { BestModel } from './best-model.js'
import { type BuiltTrainer, buildTrainer } from './build-trainer.js'
import { RunEnd } from './end-run.js'
import { holdBatch } from './hold-batch.js'
import { Evaluator } from './observers/evaluate.js'
import { TaskEvaluator } from './observers/evaluate-tasks.js'
import { Heartbeat } from './observers/heartbeat.js'
import { Profiler } from './observers/profile.js'
import { RankPace } from './observers/rank-pace.js'
import { Recorder } from './observers/record.js'
import { Saver } from './observers/save.js'
import { prepareRun } from './prepare-run.js'
import { describeMove } from './provenance.js'
import { requireMetric } from './require-metric.js'
import { type RunParts, stopsEarly, type TrainingOutcome, type TrainingRequest } from './run-parts.js'
import { describeModel, requireSameRanks } from './same-ranks.js'
import { requireSameReplicas } from './same-replicas.js'
import { SettledStop } from './settled-stop.js'
import { StepQueue } from './step-queue.js'
import { StopRequest } from './stop-request.js'
import { trainLoop } from './train-loop.js'
import { type World, withinWorld } from './world.js'

/**
 * Trains what a config describes and leaves a run folder; goes on with the run that is there when it was interrupted. Its stages until the
 * first step end with marks of Node's user timing (docs/profile.md).
 *
 * @throws {AdaptError} INTERRUPTED (exit 75) after a signal: everything is saved and the same call goes on.
 * @throws {ConfigError} RUN_ACTIVE, RUN_EXISTS, NOT_A_RUN, CONFIG_CHANGED, DATA_CHANGED, STEPS_CHANGED and what a config can get wrong.
 */
export async function runTraining(request: TrainingRequest): Promise<TrainingOutcome> {
  if (request.world) return await trainIn(request.world, request)
  return await withinWorld((world) => trainIn(world, world.isFirst ? request : silent(request)), {
    timeoutSeconds: request.config.training.ddp_timeout,
    backend: request.config.training.ddp_backend,
  })
}

/** Of the ranks of a run one speaks, and is profiled. */
function silent({ profile: _, onProfile: __, ...request }: TrainingRequest): TrainingRequest {
  const nothing = () => {}
  return { ...request, onLine: nothing, onStep: nothing, onEvaluation: nothing }
}

/** Ranks of one machine take its GPUs in turn. */
function onOwnDevice(request: TrainingRequest, { worldSize, localRank }: World): TrainingRequest {
  if (worldSize === 1) return request
  const { config } = request
  const device = deviceOfRank(config.training.device, localRank)
  return { ...request, config: { ...config, training: { ...config.training, device } } }
}

/** Says how gradients travel between ranks. @throws {ConfigError} where they cannot as the config asks. */
function sayTravel(
  world: World,
  { training }: TrainingRequest['config'],
  device: string,
  onLine: (line: string) => void,
): void {
  if (world.worldSize > 1 && training.ddp_backend === 'nccl' && !device.startsWith('cuda'))
    throw new ConfigError(
      'NO_NCCL',
      `training.ddp_backend: nccl is for CUDA devices, and rank ${world.rank} trains on ${device}: gloo, or auto, is what there is`,
      { key: 'training.ddp_backend' },
    )
  const line = world.describeTravel(device)
  if (line !== undefined) onLine(line)
}

async function trainIn(world: World, asked: TrainingRequest): Promise<TrainingOutcome> {
  requireSameRanks(world, { version: packageVersion(), config: renderResolvedConfig(asked.config) })
  const request = onOwnDevice(asked, world)
  const { config, baseDir, onLine } = request
  const runFolder = resolve(config.output_dir)
  using _lock = world.isFirst ? RunLock.acquire(runFolder) : undefined
  using ownStop = request.stop ? undefined : new StopRequest()
  const stop = request.stop ?? ownStop!
  if (ownStop?.warning !== undefined) onLine(`warning: ${ownStop.warning}`)
  const chosen = chooseDevice(config.training.device)
  performance.mark('adapt:engine')
  // A proxy runs where its run does.
  if (request.artefact === undefined) onLine(chosen.line)
  const { kind, ...found } = await world.fromFirst(() => findStart(request, runFolder))
  const start = found.folder === undefined ? undefined : startPoint(found.folder, found.isOwn)
  const goesOn = `before the first step; ${runFolder} can go on`
  const { needs, byCode, candidates } = partsOf(config.method)
  const inputs = await world.inTurn(() =>
    openInputs(config, baseDir, {
      // A signal of the caller's may want those that are given.
      needsAnchors: needs.anchors === true || (byCode.includes('signal') && config.anchors.length > 0),
      onLine,
      checkStop: () => stop.throwIfRequested(goesOn),
    }),
  )
  performance.mark('adapt:inputs')
  try {
    requireNeeds(config.method, { sources: inputs.train.sources.length, isPlainText: inputs.isPlainText })
    const opened: { tasks?: RunTasks | undefined } = {}
    // Rank 0 asks them; the others know what figures there will be.
    const taskFigures = await world.fromFirst(async () => {
      const { tokenizer, train } = inputs
      const about = { tokenizer, trainFingerprint: train.fingerprint, onLine }
      opened.tasks = await openRunTasks(config, baseDir, about)
      return opened.tasks && metricsOfSelection(opened.tasks.selection)
    })
    await requireMetric(new BestModel(config), inputs, taskFigures)
    const { worldSize } = world
    const held = holdBatch(config, start, worldSize, request.rowsOfStep)
    if (held.line !== undefined) onLine(held.line)
    const prepared = await prepareRun({ ...request, config: held.config }, inputs, {
      ...{ world, stop, goesOn, train: runTraining },
      // Each rank's own was chosen by what is asked of all.
      device: asked.config.training.device,
    })
    const data = orderData(config, inputs, prepared?.artefact ?? NO_ARTEFACT, prepared?.key)
    requireSameRanks(world, data.fingerprints)
    const plan = planSteps(held.config, (epoch) => data.rows.numRowsPerEpoch(epoch), candidates, worldSize)
    if (start) {
      requireSameData(start, data.fingerprints, plan)
      requireSameSteps(start, data.rowsFrom(FIRST_ROW), plan, config)
    }
    stop.throwIfRequested(goesOn)
    stop.watchNatively()
    // What can be refused is refused before an older run in the folder is removed.
    sayTravel(world, config, chosen.device, onLine)
    const built = startTrainer({ ...request, config: held.config }, data, plan, world, start)
    performance.mark('adapt:model')
    try {
      if (start) requireSameDraw(start, built.method)
      const moved = start && describeMove(start, chosen, built.dtype)
      if (moved !== undefined) onLine(moved)
      requireSameRanks(world, { ...plan, ...describeModel(built.trainer.model) })
      requireSameReplicas(world, built.trainer.model, built.trainer.step, 'all')
      const settled = new SettledStop(stop, world)
      const parts = {
        request,
        world,
        data,
        ...opened,
        taskFigures,
        prepared,
        plan,
        built,
        stop: settled,
        start,
      }
      return await trainInFolder(parts, kind)
    } finally {
      built.trainer.dispose()
      built.trainer.model.dispose()
    }
  } catch (error) {
    throw explainMemory(error, 'before the first step', chosen.device, loadingRemedies(config))
  } finally {
    inputs.train.close()
  }
}

/** What a start in the run's folder means, and the checkpoint that it begins at: plain data, for ranks that did not look. */
async function findStart({ config, baseDir, overwrite, onLine }: TrainingRequest, runFolder: string) {
  const kind = inspectRunFolder(runFolder, overwrite)
  // A run that goes on goes on from its own checkpoints, wherever it began.
  const namedInputs = (await configInputs(config, baseDir)).filter(
    ({ key }) => kind === 'new' || key !== 'training.resume_from_checkpoint',
  )
  requireInputsOutside(runFolder, namedInputs)
  const start =
    (kind === 'continue'
      ? findOwnStart(runFolder, config, (error) => onLine(`warning: ${error.message}; an older one is used`))
      : undefined) ?? findNamedStart(config, baseDir)
  return { kind, folder: start?.folder, isOwn: start?.isOwn === true }
}

/** The trainer of a config, as it was at the start point. */
function startTrainer(
  { config, baseDir, signals, gates }: TrainingRequest,
  data: OrderedData,
  plan: StepPlan,
  { collective }: World,
  start: StartPoint | undefined,
): BuiltTrainer {
  const built = buildTrainer(config, baseDir, data, plan, {
    collective,
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

/** What a run has before its folder is open. */
type Unplaced = Omit<RunParts, 'rows' | 'queue' | 'folder' | 'startStep'>

async function trainInFolder(unplaced: Unplaced, kind: 'new' | 'continue'): Promise<TrainingOutcome> {
  const { request, start, data, world } = unplaced
  const runFolder = resolve(request.config.output_dir)
  const startStep = start?.state.step ?? 0
  await world.fromFirst(async () => {
    const folder = makeReady(unplaced, kind)
    await RunLog.prepare(folder, startStep, data.train)
  })
  const folder = new RunFolder(runFolder, world.isFirst)
  const rows = start ? data.rowsFrom(start.state.cursor) : data.rows
  const queue = new StepQueue({ ...unplaced, rows })
  performance.mark('adapt:folder')
  return await trainAndEnd({ ...unplaced, rows, queue, folder, startStep })
}

/** The folder of the run, with room for what it will write and without what comes after its start. */
function makeReady({ request, start, plan, built }: Unplaced, kind: 'new' | 'continue'): RunFolder {
  const runFolder = resolve(request.config.output_dir)
  const checkpoints = checkpointStore(runFolder)
  const { save_total_limit, load_best_model_at_end } = request.config.training
  requireRoom(
    runFolder,
    checkpointBytes(built.trainer),
    // The newest stays beside the best one.
    Math.max(save_total_limit, load_best_model_at_end ? 2 : 1),
    checkpoints.steps().length,
  )
  const folder = openRunFolder(runFolder, kind, plan.totalSteps)
  // A run that goes on without a checkpoint of its own goes on from where it began.
  checkpoints.rewind(start?.isOwn === true ? start.state.step : -1)
  return folder
}

async function trainAndEnd(parts: RunParts): Promise<TrainingOutcome> {
  using recorder = new Recorder(parts)
  using profiler = new Profiler(parts, recorder)
  const best = new BestModel(parts.request.config, parts.taskFigures)
  const saver = new Saver(parts, recorder, best)
  const evaluator = new Evaluator(parts, recorder, saver, best)
  const asker = new TaskEvaluator(parts, recorder, saver, best)
  const end = new RunEnd(parts, recorder, saver, { evaluator, asker }, best)
  try {
    const observers = [
      recorder,
      new Heartbeat(parts, recorder.side),
      new RankPace(parts, recorder),
      saver,
      evaluator,
      asker,
      profiler,
    ]
    await trainLoop(parts, observers)
    await profiler.finish()
    return await (stopsEarly(parts) ? end.leave() : end.finish())
  } catch (thrown) {
    const { trainer } = parts.built
    const { config } = parts.request
    const error = explainMemory(
      thrown,
      `step ${trainer.step + 1}`,
      trainer.model.device,
      trainingRemedies(config),
    )
    if (!(error instanceof AdaptError && error.code === 'INTERRUPTED')) await end.recordFailure(error)
    throw error
  }
}
