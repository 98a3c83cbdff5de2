/** What a decision about an evaluation rests on. */
export interface TimeSpent {
  /** Completed steps, and their seconds. */
  readonly step: number
  readonly trainSeconds: number
  /** Of an evaluation, where none was made yet; undefined: unknown. */
  readonly guess: number | undefined
}

/** Why an evaluation is left out. */
export interface TooLong {
  readonly spentSeconds: number
  readonly expectedSeconds: number
  readonly trainSeconds: number
  readonly share: number
}

/**
 * Keeps evaluations within a share of a run's time: with s seconds spent, e expected of the next one and t of training so far, one is made where
 * s + e <= share (t + s + e), and where the last one, which is always made, still fits: s + 2 e <= share (T + s + 2 e), T being the
 * training of all steps at the pace so far.
 */
export class TimeShare {
  private spent = 0
  private longest: number | undefined

  /** @param share  Undefined: no limit. */
  constructor(
    private readonly share: number | undefined,
    private readonly totalSteps: number,
  ) {}

  /** Takes the seconds of an evaluation in. */
  note(seconds: number): void {
    this.spent += seconds
    this.longest = Math.max(this.longest ?? 0, seconds)
  }

  /** Undefined where there is time for an evaluation. */
  tooLong({ step, trainSeconds, guess }: TimeSpent): TooLong | undefined {
    const { spent } = this
    const share = this.share
    if (share === undefined) return undefined
    const expected = this.longest ?? guess ?? Infinity
    const fits = (taken: number, training: number) => taken <= share * (training + taken)
    const whole = step === 0 ? 0 : (trainSeconds / step) * this.totalSteps
    const isInTime =
      expected < Infinity && fits(spent + expected, trainSeconds) && fits(spent + 2 * expected, whole)
    if (isInTime) return undefined
    return { spentSeconds: spent, expectedSeconds: expected, trainSeconds, share }
  }

  /** The share that evaluations took, beside so much training. */
  taken(trainSeconds: number): number {
    return this.spent === 0 ? 0 : this.spent / (trainSeconds + this.spent)
  }
}
