import type { RowCursor, RowStream } from '../batch/index.js'
import type { CustomParts } from '../catalog/index.js'
import type { RunConfig, StepPlan } from '../config/index.js'
import type { Evaluation, HeldOutEvaluation } from '../eval/index.js'
import type { Artefact, Gate, PoolProgress, Signal } from '../method/index.js'
import type { OrderedData, RunTasks } from '../open/index.js'
import type { Prepared } from '../prepare/index.js'
import type { ProfileSummary } from '../profile/index.js'
import type { StepRecord, TasksEvent } from '../record/index.js'
import type { RunFolder, StartPoint } from '../run-folder/index.js'
import type { ExpectedFigure } from '../tasks/index.js'
import type { StepEvents } from '../train/index.js'
import type { BestEvaluation } from './best-model.js'
import type { BuiltTrainer } from './build-trainer.js'
import type { SettledStop } from './settled-stop.js'
import type { StepQueue } from './step-queue.js'
import type { StopRequest } from './stop-request.js'
import type { World } from './world.js'

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
  /** What a preparation left, for a run that is part of one: nothing is prepared then. */
  readonly artefact?: Artefact
  /** Who else may ask for the stop and watches signals over several runs; default: the run watches them itself. */
  readonly stop?: StopRequest
  /** Rows of a step, whatever the number of ranks. Default: those that the config gives with these ranks. */
  readonly rowsOfStep?: number
  /** The ranks that train it; default: those that this process was started with. A run that is part of another has one. */
  readonly world?: World
  /** Events worth a line: refreshes, evaluations, alerts. */
  readonly onLine: (line: string) => void
  /** Called once per optimiser step. */
  readonly onStep: (record: StepRecord, totalSteps: number) => void
  /**
   * Record where the time of these steps goes, into `profile/` of the run folder. Default: five steps, after three of this process.
   * Both count from 1 and are steps of the run.
   */
  readonly profile?: { readonly first?: number; readonly last?: number }
  /** Called when they are done, with the file of the trace. */
  readonly onProfile?: (summary: ProfileSummary, path: string) => void
  /**
   * Called while an evaluation is under way, with the documents and held-out samples that are done; of a benchmark task, with what it was
   * asked of all that it is.
   */
  readonly onEvaluation?: (
    numDone: number,
    step: number,
    totalSteps: number,
    task?: { readonly name: string; readonly total: number },
  ) => void
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
  /** The last evaluation of `evaluation.tasks`. */
  readonly tasks?: TasksEvent
  /** The best evaluation, where the config compares them (`load_best_model_at_end`, `early_stopping_patience`). */
  readonly best?: BestEvaluation
  /** The step that `stopAfterStep` ended the run at. */
  readonly stoppedAt?: number
}

/** Everything that one process of a run has while it trains. */
export interface RunParts {
  readonly request: TrainingRequest
  readonly world: World
  readonly data: OrderedData
  /** What `evaluation.tasks` asks; on rank 0 alone. */
  readonly tasks?: RunTasks | undefined
  /** Figures that `evaluation.tasks` will give, on every rank. */
  readonly taskFigures?: readonly ExpectedFigure[] | undefined
  /** The order of the data from the start point on. */
  readonly rows: RowStream
  /** Its steps. */
  readonly queue: StepQueue
  readonly plan: StepPlan
  readonly built: BuiltTrainer
  readonly stop: SettledStop
  readonly folder: RunFolder
  readonly start: StartPoint | undefined
  /** What the method's preparation left and took; absent for a method without. */
  readonly prepared?: Prepared | undefined
  /** Completed steps when this process begins. */
  readonly startStep: number
}

/** What one optimiser step gave. */
export interface StepResult {
  readonly record: StepRecord
  readonly events: StepEvents
}

/** Something a person should know. */
export interface RunNote {
  readonly severity: 'info' | 'warning'
  readonly code: string
  readonly message: string
}

/** Who is told how a run goes, on every rank: what they write but for the ledger, rank 0 alone writes. Each is called in the order of the list. */
export interface RunObserver {
  /** Whether the run is over before its last step. */
  readonly isOver?: boolean
  /** Before the first step of this process. */
  begin?(): Promise<void>
  /** Before the rows of a step are drawn. */
  beforeStep?(): void
  /** Between two batches of a pool that is scored before a step is drawn. */
  whileScoring?(progress: PoolProgress): void
  /** At once after a step. */
  afterStep?(step: StepResult): void
  /** Between two steps, after timers and signals had their turn. */
  betweenSteps?(): Promise<void> | void
  /** The rows of the next step cannot be read; the run ends. */
  beforeFailure?(cursor: RowCursor): void
}

/** Whether the run must end here although steps or the last evaluation are missing. */
export function stopsEarly({ request, stop, built }: Pick<RunParts, 'request' | 'stop' | 'built'>): boolean {
  return stop.requested || built.trainer.step === request.stopAfterStep
}
