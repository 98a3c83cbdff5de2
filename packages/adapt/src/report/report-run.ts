import type { SourceEvaluation, StepRecord } from '../record/index.js'

/** Bits per byte by evaluation set after `step` optimiser steps. */
export interface ReportEvaluation {
  readonly step: number
  readonly sources: Readonly<Record<string, SourceEvaluation>>
}

/** A sample whose weight stands out. */
export interface ReportSample {
  readonly id: string
  readonly source: string
  readonly weight: number
  readonly score: number
  /** Mean nats per label. */
  readonly loss: number
  /** Shown as it is; never read as markup. */
  readonly text?: string
}

/** One run of a report. Runs with the same `method` are taken for seeds of it. */
export interface ReportRun {
  readonly name: string
  /** One line for people; equal for the seeds of one method. */
  readonly method: string
  /** Resolved settings to show. `seed` pairs runs of different methods. */
  readonly config: Readonly<Record<string, string | number | boolean | null>>
  readonly steps: readonly StepRecord[]
  readonly evaluations: readonly ReportEvaluation[]
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
