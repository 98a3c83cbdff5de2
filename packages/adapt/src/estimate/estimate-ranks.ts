/** Bytes of a gradient, and of an updated parameter. */
const FLOAT32 = 4
/** Of the FLOPs of a training step: what runs while gradients come, and may leave. */
const BACKWARD_SHARE = 2 / 3

/** What ranks exchange in a step, and how much of it training waits for. */
export interface RanksEstimate {
  readonly count: number
  /** That each rank sends in a step, as many as it receives: 2 (N - 1) / N of the trained parameters in float32. */
  readonly bytesPerStep: number
}

/** @param trainable  Parameters that are trained. */
export function estimateRanks(count: number, trainable: number): RanksEstimate {
  return { count, bytesPerStep: (2 * (count - 1) * FLOAT32 * trainable) / count }
}

/**
 * Seconds of a step that a rank waits for the link. Sums of gradients hide behind the backward of the last micro-batch; the updated parameters,
 * the other half of the bytes, do not. Latency is left out: docs/scaling.md has the whole model.
 *
 * @param link  Bits a second that a rank sends. @param pass  Seconds of one micro-batch.
 */
export function exposedSeconds(
  { bytesPerStep }: Pick<RanksEstimate, 'bytesPerStep'>,
  link: number,
  pass: number,
): number {
  const half = (8 * bytesPerStep) / 2 / link
  return half + Math.max(0, half - BACKWARD_SHARE * pass)
}
