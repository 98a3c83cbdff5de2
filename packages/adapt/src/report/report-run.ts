import type {
  AlertEvent,
  CalibrationEvent,
  PolicyEvent,
  PreparedEvent,
  RefreshEvent,
  SourceEvaluation,
  StepRecord,
  ValidationFigures,
} from '../record/index.js'
import type { ReportTasks, TaskAnswer } from './report-tasks.js'
import type { LedgerSummary } from './summarize-ledger.js'

/** Bits per byte by evaluation set after `step` optimiser steps. */
export interface ReportEvaluation {
  readonly step: number
  readonly sources: Readonly<Record<string, SourceEvaluation>>
  /** On the held-out part of the training data. */
  readonly validation?: ValidationFigures
}

/** A sample whose weight stands out. */
export interface ReportSample {
  readonly id: string
  readonly source: string
  /** Mean over the times it was seen. */
  readonly weight: number
  /** Weight divided by the mean weight of its step, averaged; orders the tables where it is given. */
  readonly relativeWeight?: number
  readonly score: number
  /** Mean nats per label. */
  readonly loss: number
  /** Data file and line. */
  readonly place?: string
  /** Times seen in the whole run. */
  readonly timesSeen?: number
  /** Shown as it is; never read as markup. */
  readonly text?: string
  /** Why there is no text. */
  readonly textNote?: string
}

/** What a run was made from, as far as its folder says. */
export interface RunAbout {
  /** Seconds since the epoch. */
  readonly started?: number
  /** Folder or preset. */
  readonly model?: string
  readonly parameters?: number
  /** Fewer than `parameters` with an adapter. */
  readonly trainedParameters?: number
  readonly files?: number
  readonly samples?: number
  readonly tokens?: number
  /** Anchor records. */
  readonly anchors?: number
  /** Rows per optimiser step, and positions per row. */
  readonly batchSize?: number
  readonly maxLength?: number
  readonly packing?: boolean
  readonly learningRate?: number
  readonly schedule?: string
  readonly totalSteps?: number
  /** How the run ended; absent for one that is under way or was killed. */
  readonly status?: 'finished' | 'interrupted' | 'failed'
}

/** One run of a report. Runs with the same `method` are taken for seeds of it. */
export interface ReportRun {
  readonly name: string
  /** One line for people; equal for the seeds of one method. */
  readonly method: string
  readonly about?: RunAbout
  /** Sources that the anchors name; those that the data has too stand out. */
  readonly anchoredSources?: readonly string[]
  /** Resolved settings to show. `seed` pairs runs of different methods. */
  readonly config: Readonly<Record<string, string | number | boolean | null>>
  readonly steps: readonly StepRecord[]
  readonly evaluations: readonly ReportEvaluation[]
  /** Evaluations of benchmark tasks, and some documents of the last one. */
  readonly tasks?: readonly ReportTasks[]
  readonly taskAnswers?: readonly TaskAnswer[]
  readonly refreshes?: readonly RefreshEvent[]
  readonly calibrations?: readonly CalibrationEvent[]
  readonly policies?: readonly PolicyEvent[]
  readonly alerts?: readonly AlertEvent[]
  /** What the method made before training; absent where it made nothing. */
  readonly preparation?: PreparedEvent
  /** Times that a process went on where an earlier one had stopped. */
  readonly restarts?: number
  /** What the ledger says beyond the steps. */
  readonly ledger?: LedgerSummary
  /** The most up- and the most down-weighted ones, in any order. */
  readonly samples?: readonly ReportSample[]
  /** Further figures; rows of the summary table. */
  readonly summary: Readonly<Record<string, number | string>>
}

/** What a report shows. */
export interface ReportInput {
  readonly title: string
  /** The first run is what the others are compared with. */
  readonly runs: readonly ReportRun[]
  /** Paragraphs shown under the title. */
  readonly notes?: readonly string[]
}
