import type { TaskFigure } from '../record/index.js'

/** What benchmark tasks gave after `step` optimiser steps. */
export interface ReportTasks {
  readonly step: number
  readonly figures: readonly TaskFigure[]
}

/** A document of a task and what the model made of it. All text is shown as it is, never read as markup. */
export interface TaskAnswer {
  readonly task: string
  /** Place of the document in its split, from 0. */
  readonly document: number
  readonly isRight: boolean
  readonly prompt: string
  /** What there was to choose from; none where the answer was written. */
  readonly choices: readonly {
    readonly text: string
    /** Nats. */
    readonly logLikelihood: number
    /** Whether it is the right one. */
    readonly isTarget: boolean
  }[]
  /** What the model wrote, and what was expected; of tasks without choices. */
  readonly written?: string
  readonly target?: string
}
