import { TorchError } from '../errors.js'

/** Names of the schedules. */
export type ScheduleKind = 'constant' | 'linear' | 'cosine' | 'wsd'

/** Shape of the learning rate over a run. */
export interface ScheduleOptions {
  readonly kind: ScheduleKind
  readonly totalSteps: number
  /** Steps of linear warm-up from 0. Default 0. */
  readonly warmupSteps?: number
  /** wsd only: steps of the final decay. Default 20 % of totalSteps. */
  readonly decaySteps?: number
  /** Floor as a share of the peak rate. Default 0. */
  readonly minRatio?: number
}

/**
 * Factor on the peak learning rate for update `step` (0-based), as transformers' schedules of the same names:
 * `linear` decays to 0, `cosine` follows half a cosine, `wsd` (warm-up, stable, decay) holds the peak and decays
 * along half a cosine at the end.
 *
 * @returns Dimensionless, 0 to 1.
 * @throws {TorchError} UNKNOWN_SCHEDULE
 */
export function scheduleFactor(step: number, options: ScheduleOptions): number {
  const { kind, totalSteps, warmupSteps = 0, minRatio = 0 } = options
  if (step < warmupSteps) return step / Math.max(1, warmupSteps)
  const floor = (factor: number) => minRatio + (1 - minRatio) * Math.max(0, factor)
  switch (kind) {
    case 'constant':
      return 1
    case 'linear':
      return floor((totalSteps - step) / Math.max(1, totalSteps - warmupSteps))
    case 'cosine': {
      const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps)
      return floor(0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress))))
    }
    case 'wsd': {
      const decaySteps = options.decaySteps ?? Math.round(0.2 * totalSteps)
      const decayStart = totalSteps - decaySteps
      if (step < decayStart) return 1
      const progress = (step - decayStart) / Math.max(1, decaySteps)
      return floor(0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress))))
    }
    default:
      throw new TorchError('UNKNOWN_SCHEDULE', `unknown schedule "${String(kind)}"`)
  }
}
