import type { StepRecord } from './step-record.js'

/** Bits per byte and its parts for one evaluation set. */
export interface SourceEvaluation {
  /** Nats of every token divided by (ln 2 x UTF-8 bytes of the raw text); null where no text is predicted. */
  readonly bits_per_byte: number | null
  /** Null where no token is predicted. */
  readonly nats_per_token: number | null
  readonly bytes: number
  readonly tokens: number
  readonly documents: number
}

/** Loss on the held-out part of the training data, in mean nats per trained token over all and by source. */
export interface ValidationFigures {
  /** Null where no token is trained. */
  readonly eval_loss: number | null
  readonly sources: Readonly<Record<string, SourceEvaluation>>
}

interface EventBase {
  /** Completed optimiser steps when the event happened. */
  readonly step: number
  /** Seconds since the epoch. */
  readonly time: number
}

/** A process began to train. `step` is 0 for a new run and the checkpoint's step for a resumed one. */
export interface RunStartEvent extends EventBase {
  readonly type: 'run-start'
  readonly name: string
  readonly config: Readonly<Record<string, string | number | boolean | null>>
  readonly versions: Readonly<Record<string, string>>
}

/** The anchors were embedded again. */
export interface RefreshEvent extends EventBase {
  readonly type: 'refresh'
  readonly reason: string
  readonly numAnchors: number
  readonly refreshMs: number
  /** FLOPs of this refresh. */
  readonly flops: number
  /** Figures of the anchor set, such as the resultant length or the staleness. */
  readonly diagnostics: Readonly<Record<string, number>>
}

/** The model was measured on held-out text. */
export interface EvaluationEvent extends EventBase {
  readonly type: 'evaluation'
  readonly sources: Readonly<Record<string, SourceEvaluation>>
  /** What was held out of the training data (`data.val_set_size`), where something was. */
  readonly validation?: ValidationFigures
}

/** One row of the results of benchmark tasks. */
export interface TaskFigure {
  /** Name of the task or group. */
  readonly task: string
  readonly kind: 'task' | 'group'
  /** What tables call it. */
  readonly alias: string
  /** Documents that were evaluated. */
  readonly documents: number
  /** Examples before each document; not of groups, whose tasks may differ. */
  readonly numFewShot?: number
  readonly metric: string
  /** Steps from what the model wrote to what was compared; `none` without any. */
  readonly filter: string
  readonly value: number
  /** Standard error; null where there is none. */
  readonly error: number | null
  readonly higherIsBetter: boolean
  /** Of tasks: whether the anchors share data with it; absent where no anchors are known. */
  readonly anchored?: boolean
}

/** The model was asked the tasks of `evaluation.tasks`; samples and results stand in `eval/step-N.tasks`. */
export interface TasksEvent extends EventBase {
  readonly type: 'tasks'
  /** What the evaluation took. */
  readonly seconds: number
  /** Positions of the window. */
  readonly maxLength: number
  /** Tasks in the order in which they were asked for, then groups. */
  readonly figures: readonly TaskFigure[]
}

/** A figure in a table: four digits behind the point, or as a power of ten where that is too long. */
export const shownFigure = (value: number): string =>
  Math.abs(value) < 1e6 ? value.toFixed(4) : value.toExponential(3)

/** The name of a figure of a task, among others of a run: `tasks/<task>/<metric>`, with `,<filter>` behind it where there is one. */
export function taskFigureName({
  task,
  metric,
  filter,
}: Pick<TaskFigure, 'task' | 'metric' | 'filter'>): string {
  return `tasks/${task}/${metric}${filter === 'none' ? '' : `,${filter}`}`
}

/** The gate's constants were solved again from the score histogram. */
export interface CalibrationEvent extends EventBase {
  readonly type: 'calibration'
  readonly mu: number
  readonly tau: number
  readonly targetEdr: number
  /** NaN when only the effective data ratio is controlled. */
  readonly targetEss: number
  readonly edr: number
  readonly essRatio: number
  /** Weight of the histogram: a count of scores, less the decay. */
  readonly numScores: number
  /** False when the target could not be reached and the last valid constants were kept. */
  readonly reached: boolean
}

/** A method shared out anew what is read of each source, or how much it counts. */
export interface PolicyEvent extends EventBase {
  readonly type: 'policy'
  /** By source; sums to 1. */
  readonly shares: Readonly<Record<string, number>>
}

/** How the ranks of a run keep step with each other: means over the steps since the last such event. */
export interface RanksEvent extends EventBase {
  readonly type: 'ranks'
  /** Milliseconds a step that each rank worked, in rank order: what it did not wait for the others. */
  readonly workMs: readonly number[]
  /** Milliseconds a step that each rank waited, and moved data. */
  readonly waitMs: readonly number[]
}

/** The method's preparation was made, or found where it was kept. */
export interface PreparedEvent extends EventBase {
  readonly type: 'prepared'
  /** SHA-256 (hex) of what it is a function of. */
  readonly key: string
  /** Of making it, also where it was found. */
  readonly seconds: number
  readonly flops: number
  readonly isCached: boolean
  readonly figures: Readonly<Record<string, number>>
}

/** Something a person should look at. */
export interface AlertEvent extends EventBase {
  readonly type: 'alert'
  readonly severity: 'info' | 'warning' | 'error'
  /** Stable UPPER_SNAKE code. */
  readonly code: string
  readonly message: string
  readonly values: Readonly<Record<string, number>>
}

/** The process stopped training. A killed one leaves none. */
export interface RunEndEvent extends EventBase {
  readonly type: 'run-end'
  readonly status: 'finished' | 'interrupted' | 'failed'
  readonly exitCode: number
  readonly summary: Readonly<Record<string, number>>
}

/** One line of `events.jsonl`. */
export type RunEvent =
  | RunStartEvent
  | StepRecord
  | RefreshEvent
  | EvaluationEvent
  | TasksEvent
  | CalibrationEvent
  | PolicyEvent
  | RanksEvent
  | PreparedEvent
  | AlertEvent
  | RunEndEvent

/**
 * Where numbers may stand in each kind of event, as paths with `*` for any key. Only there are the strings
 * "NaN", "Infinity" and "-Infinity" read back as numbers; a run that is NAMED "NaN" keeps its name.
 */
export const NUMERIC_PATHS: Readonly<Record<string, readonly string[]>> = {
  'run-start': ['step', 'time'],
  step: [
    ...['step', 'time', 'epoch', 'lossWeighted', 'lossUnweighted', 'gradNorm', 'learningRate', 'numSamples'],
    ...['numTokens', 'numTokensProcessed', 'weightMean', 'essRatio', 'weightQuantiles.*', 'scoreMean'],
    ...[
      'scoreStd',
      'scoreQuantiles.*',
      'weightMeanBySource.*',
      'massBySource.*',
      'uniformMassBySource.*',
      'tokensPerSecond',
      'stepMs',
      'signalMs',
    ],
    ...['flopsTrain', 'flopsSignal'],
  ],
  refresh: ['step', 'time', 'numAnchors', 'refreshMs', 'flops', 'diagnostics.*'],
  evaluation: ['step', 'time', 'sources.*.*', 'validation.eval_loss', 'validation.sources.*.*'],
  tasks: [
    ...['step', 'time', 'seconds', 'maxLength', 'figures.*.documents', 'figures.*.numFewShot'],
    ...['figures.*.value', 'figures.*.error'],
  ],
  calibration: ['step', 'time', 'mu', 'tau', 'targetEdr', 'targetEss', 'edr', 'essRatio', 'numScores'],
  policy: ['step', 'time', 'shares.*', 'mean.*', 'rewards.*', 'excess.*', 'exploration'],
  draw: ['step', 'time', 'spread', 'ess', 'scoreDeviation'],
  ranks: ['step', 'time', 'workMs.*', 'waitMs.*'],
  'fixed-point': ['step', 'time', 'change', 'contraction'],
  prepared: ['step', 'time', 'seconds', 'flops', 'figures.*'],
  alert: ['step', 'time', 'values.*'],
  'run-end': ['step', 'time', 'exitCode', 'summary.*'],
}
