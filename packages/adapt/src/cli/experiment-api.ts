import type { RunConfig } from '../config/index.js'
import type { SourceEvaluation, StepRecord } from '../record/index.js'

/** What the `train` verb asks of the experiment folder. */
export interface TrainingRequest {
  readonly config: RunConfig
  /** Folder that the config's paths are relative to. Absolute. */
  readonly baseDir: string
  /** Replace a finished run in `output_dir`. */
  readonly overwrite: boolean
  /** Events worth a line: refreshes, evaluations, alerts, checkpoints. */
  readonly onLine: (line: string) => void
  /** Called once per optimiser step. */
  readonly onStep: (record: StepRecord, totalSteps: number) => void
}

export interface TrainingOutcome {
  readonly outputDir: string
  readonly reportPath: string
}

/** What the `eval` verb asks of the experiment folder. Paths are relative to the working directory. */
export interface EvaluationRequest {
  readonly model: string
  readonly texts: readonly string[]
  readonly maxLength?: number
  readonly batchSize?: number
  /** Documents read per file. */
  readonly limit?: number
}

/** The object of `adapt eval --json`. */
export interface EvaluationOutcome {
  readonly sources: Readonly<Record<string, SourceEvaluation>>
  readonly all: SourceEvaluation
}

/** The experiment folder as the verbs load it, on demand. */
export interface ExperimentModule {
  runTraining(request: TrainingRequest): Promise<TrainingOutcome>
  evaluateModelFolder(request: EvaluationRequest): Promise<EvaluationOutcome>
}
