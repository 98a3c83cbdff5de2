import type { StepRecord } from '../../record/index.js'
import { formatCount, wrapLines } from './render-table.js'
import type { SafeStream } from './safe-stream.js'

export interface ProgressOptions {
  readonly totalSteps: number
  /** Without a terminal: one line every this many steps. */
  readonly loggingSteps: number
  readonly stream: SafeStream
  readonly isTty: boolean
  /** Say once, before the first step, what the short names of a step's line mean. */
  readonly explains?: boolean
}

/** What stands in the line of a step. */
const LEGEND =
  'lr: learning rate; w: mean weight of the samples; ESS: their effective number, 1 when all weigh the same'

export interface Progress {
  /** Shows a completed step. */
  step(record: StepRecord): void
  /** Shows that the model is being evaluated after a step, on a terminal. */
  evaluation(numDone: number, step: number, task?: { readonly name: string; readonly total: number }): void
  /** Prints a line of its own, above the progress line of a terminal. */
  line(text: string): void
  /** Ends the progress line; what was shown last stays. */
  done(): void
}

// Seconds between two updates of a terminal's line: faster is not readable and slow over a remote shell.
const MIN_UPDATE_SECONDS = 0.1
// Share of the newest step in the step time behind the ETA.
const ETA_SMOOTHING = 0.05

/** Shows training steps: one updating line on a terminal, else a line every `loggingSteps` steps. */
export function createProgress(options: ProgressOptions): Progress {
  const { totalSteps, loggingSteps, stream, isTty } = options
  let stepMs: number | undefined
  let shown: string | undefined
  let shownTime = Number.NEGATIVE_INFINITY

  let isEvaluating = false
  let mustExplain = options.explains === true
  return {
    step(record) {
      if (mustExplain) {
        if (isEvaluating) stream.clearLine()
        isEvaluating = false
        stream.write(`${wrapLines(LEGEND)}\n`)
        mustExplain = false
      }
      stepMs = stepMs === undefined ? record.stepMs : stepMs + ETA_SMOOTHING * (record.stepMs - stepMs)
      const isLast = record.step >= totalSteps
      const text = formatStep(record, totalSteps, (totalSteps - record.step) * stepMs)
      if (!isTty) {
        if (isLast || record.step % loggingSteps === 0) stream.line(text)
      } else if (isLast || record.time - shownTime >= MIN_UPDATE_SECONDS) {
        shownTime = record.time
        shown = text
        stream.redrawLine(text)
      }
    },
    evaluation(numDone, step, task) {
      if (!isTty) return
      isEvaluating = true
      const [done, of] = [formatCount(numDone), formatCount(task?.total ?? 0)]
      const what =
        task === undefined
          ? `evaluating${numDone > 0 ? `, ${done} documents` : ''}`
          : `${task.name}, ${done} of ${of}`
      stream.redrawLine(`step ${step}/${totalSteps}  ${what}`)
    },
    line(text) {
      if (shown !== undefined || isEvaluating) stream.clearLine()
      isEvaluating = false
      stream.line(text)
      if (shown !== undefined) stream.redrawLine(shown)
    },
    done() {
      if (shown !== undefined) stream.write('\n')
      shown = undefined
    },
  }
}

/**
 * One step as a line. `loss` is the unweighted loss, which methods share; `w` the mean gate weight (EDR).
 *
 * @example step 120/600  loss 3.412  lr 1.0e-3  21,340 tok/s  w 0.53  ESS 0.97  ETA 0:42
 */
export function formatStep(record: StepRecord, totalSteps: number, etaMs: number): string {
  const parts = [
    `step ${record.step}/${totalSteps}`,
    `loss ${record.lossUnweighted.toFixed(3)}`,
    `lr ${record.learningRate.toExponential(1)}`,
    `${formatCount(record.tokensPerSecond)} tok/s`,
    `w ${record.weightMean.toFixed(2)}`,
    `ESS ${record.essRatio.toFixed(2)}`,
    `ETA ${formatDuration(etaMs / 1000)}`,
  ]
  if (record.skipped) parts.push('skipped')
  return parts.join('  ')
}

/** Seconds as `0:42`, `12:05`, `3:07:09` or `2d 03:07`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?'
  const whole = Math.max(0, Math.round(seconds))
  const two = (value: number) => String(value).padStart(2, '0')
  const minutes = Math.floor(whole / 60)
  const hours = Math.floor(minutes / 60)
  if (hours >= 24) return `${Math.floor(hours / 24)}d ${two(hours % 24)}:${two(minutes % 60)}`
  if (hours > 0) return `${hours}:${two(minutes % 60)}:${two(whole % 60)}`
  return `${minutes}:${two(whole % 60)}`
}
