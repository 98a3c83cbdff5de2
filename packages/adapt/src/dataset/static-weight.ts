const LEAST = 1e-9
const MOST = 1e9

/** What a static weight of a record or a data entry may be, for error messages. */
export const STATIC_WEIGHT_RANGE = `expected 0 or a number in [${LEAST}, ${MOST.toExponential().replace('+', '')}]`

/**
 * Whether a value can be a static weight. Weights beyond the range would leave what float32 can add up next to others, and
 * say nothing that their ratios do not.
 */
export function isStaticWeight(value: unknown): value is number {
  return typeof value === 'number' && (value === 0 || (value >= LEAST && value <= MOST))
}
